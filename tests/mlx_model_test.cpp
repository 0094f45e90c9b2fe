// Models whose weights are in MLX's formats.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/safetensors.h"
#include "models/component_weights.h"
#include "models/layer_bytes.h"
#include "ops/elementwise.h"
#include "ops/mlx.h"
#include "picture_testing.h"
#include "testing.h"
#include "zimage/models.h"
#include "zimage/pipeline.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ops::MlxFormat;
using testing::HasSubstr;
using Tensors = std::map<std::string, Tensor>;

constexpr MlxFormat kEight{MlxFormat::Mode::kAffine, 8, 32};
constexpr MlxFormat kFour{MlxFormat::Mode::kAffine, 4, 64};
const std::string kW1 = "layers.0.feed_forward.w1";

bool is_in_groups(const std::string& name, const Tensor& tensor, const MlxFormat& format) {
  return name.ends_with(".weight") && tensor.rank() == 2 && name.find("norm") == name.npos &&
         name.find("embed") == name.npos && name.find("final_layer") == name.npos &&
         tensor.dim(1) % format.group_size == 0;
}

void add_parts(Tensors& tensors, const std::string& module, const Tensor& weight,
               const MlxFormat& format) {
  const auto matrix = ops::quantize_mlx(ops::cast(weight, Dtype::kF32), format);
  tensors[module + ".weight"] = matrix.words;
  tensors[module + ".scales"] = matrix.scales;
  if (matrix.biases.defined()) tensors[module + ".biases"] = matrix.biases;
}

Tensors in_groups(const Tensors& plain, const MlxFormat& format) {
  Tensors tensors;
  for (const auto& [name, tensor] : plain) {
    if (is_in_groups(name, tensor, format)) {
      add_parts(tensors, name.substr(0, name.size() - 7), tensor, format);
    } else {
      tensors[name] = tensor;
    }
  }
  return tensors;
}

json manifest_of(const MlxFormat& format) {
  return {{"bits", format.bits},
          {"group_size", format.group_size},
          {"mode", format.mode == MlxFormat::Mode::kAffine ? "affine" : "mxfp4"}};
}

// A copy of the test snapshot in which the transformer and the text encoder are in MLX's formats.
class MlxModelTest : public testing::Test {
 protected:
  explicit MlxModelTest(const MlxFormat& format = kEight) : root_(dir_ / "model") {
    fs::copy(test_snapshot(), root_, fs::copy_options::recursive);
    use(format);
  }

  void use(const MlxFormat& format) {
    for (const std::string component : {"transformer", "text_encoder"}) {
      save(component, in_groups(plain(component), format));
    }
    write_manifest(manifest_of(format).dump());
  }

  static Tensors plain(const std::string& component) {
    Tensors tensors;
    const Snapshot model = Snapshot::open(test_snapshot());
    for (const fs::path& file : model.weight_files(component)) {
      const SafetensorsFile opened = SafetensorsFile::open(file);
      tensors.insert(opened.tensors().begin(), opened.tensors().end());
    }
    return tensors;
  }

  void save(const std::string& component, const Tensors& tensors) const {
    const fs::path folder = root_ / component;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename() != "config.json") fs::remove(entry.path());
    }
    save_safetensors(folder / "model.safetensors", tensors);
  }

  void write_manifest(const std::string& text) const {
    std::ofstream(root_ / "quantization.json") << text;
  }

  Image draw(const ModelOptions& how = {}, const std::string& model = "") const {
    Pipeline pipeline(model.empty() ? root_.string() : model,
                      {.dtype = ComputeDtype::kF32, .threads = 1, .model = how});
    GenerateOptions options = pipeline.defaults();
    options.prompt = "a red circle";
    options.width = options.height = 64;
    options.steps = 3;
    options.guidance_scale = 0;
    return pipeline.generate(options).front();
  }
  double psnr() const { return difference(draw(), draw({}, test_snapshot())).psnr; }

  std::string error() const {
    return error_of([&] { return draw(); });
  }
  // Of a transformer in which one tensor is another; undefined: removed.
  std::string error_with(const std::string& name, const Tensor& tensor) const {
    Tensors tensors = in_groups(plain("transformer"), kEight);
    tensors[name] = tensor;
    if (!tensor.defined()) tensors.erase(name);
    save("transformer", tensors);
    return error();
  }

  TempDir dir_;
  fs::path root_;
};

TEST_F(MlxModelTest, DrawsNearlyThePictureOfThePlainModel) {
  EXPECT_GT(psnr(), 35);
  use(kFour);
  EXPECT_GT(psnr(), 12);
  use({MlxFormat::Mode::kMxfp4, 4, 32});
  EXPECT_GT(psnr(), 12);
}

TEST_F(MlxModelTest, DrawsThePictureOfTheDecodedWeights) {
  const Image expected = draw();
  Tensors decoded = plain("transformer");
  for (auto& [name, tensor] : decoded) {
    if (!is_in_groups(name, tensor, kEight)) continue;
    const auto matrix = ops::quantize_mlx(ops::cast(tensor, Dtype::kF32), kEight);
    tensor = ops::decoded(*ops::mlx_rows(matrix), Dtype::kF32);
  }
  save("transformer", decoded);
  EXPECT_EQ(draw().pixels, expected.pixels);
}

TEST_F(MlxModelTest, TakesScalesOfSixteenBits) {
  Tensors tensors = in_groups(plain("transformer"), kEight);
  for (auto& [name, tensor] : tensors) {
    if (name.ends_with(".scales") || name.ends_with(".biases")) {
      tensor = ops::cast(tensor, Dtype::kBf16);
    }
  }
  save("transformer", tensors);
  EXPECT_GT(psnr(), 25);
}

TEST_F(MlxModelTest, LayersOfOtherFormatsAreFoundByEitherName) {
  Tensors tensors = in_groups(plain("transformer"), kEight);
  add_parts(tensors, kW1, plain("transformer").at(kW1 + ".weight"), kFour);
  save("transformer", tensors);
  EXPECT_THAT(error(), HasSubstr("w1.weight is [170, 32], expected [170, 64]"));
  for (const std::string prefix : {"", "transformer."}) {
    for (const std::string ending : {"", ".weight"}) {
      json manifest = manifest_of(kEight);
      manifest["layers"] = {
          {{"name", prefix + kW1 + ending}, {"bits", 4}, {"group_size", 64}, {"in_dim", 64}}};
      write_manifest(manifest.dump());
      EXPECT_EQ(error(), "");
    }
  }
}

TEST_F(MlxModelTest, WithoutAManifestTheShapesDecideOrItIsAskedFor) {
  fs::remove(root_ / "quantization.json");
  EXPECT_THAT(error(), HasSubstr("MLX affine, 4 bits, groups of 64 or MLX affine, 8 bits, groups "
                                 "of 32; a quantization.json"));
  use({MlxFormat::Mode::kAffine, 4, 32});
  fs::remove(root_ / "quantization.json");
  EXPECT_EQ(error(), "");
  use({MlxFormat::Mode::kMxfp4, 4, 32});
  fs::remove(root_ / "quantization.json");
  EXPECT_EQ(error(), "");
}

TEST_F(MlxModelTest, ATransformerFileKeepsTheManifestBesideIt) {
  const ModelOptions how{.transformer = root_ / "transformer/model.safetensors"};
  EXPECT_NE(draw(how, test_snapshot()).pixels, draw({}, test_snapshot()).pixels);
}

TEST_F(MlxModelTest, RefusesManifestsThatAreWrong) {
  const auto error_of_manifest = [&](const std::string& text) {
    write_manifest(text);
    return error();
  };
  EXPECT_THAT(error_of_manifest(""), HasSubstr("quantization.json"));
  EXPECT_THAT(error_of_manifest("{"), HasSubstr("quantization.json"));
  EXPECT_THAT(error_of_manifest("{}"), HasSubstr("quantization.json: key bits is"));
  EXPECT_THAT(error_of_manifest(R"({"bits": 8})"),
              HasSubstr("quantization.json: key group_size is"));
  EXPECT_THAT(error_of_manifest(R"({"bits": 6, "group_size": 64})"),
              HasSubstr("MLX affine, 6 bits, groups of 64, expected affine with 4 or 8 bits"));
  EXPECT_THAT(error_of_manifest(R"({"bits": 8, "group_size": 0})"), HasSubstr("groups of 0"));
  EXPECT_THAT(error_of_manifest(R"({"bits": 8, "group_size": 32, "mode": "nvfp4"})"),
              HasSubstr("mode is nvfp4, expected affine or mxfp4"));
  EXPECT_THAT(error_of_manifest(R"({"bits": 8, "group_size": 32, "mode": "mxfp4"})"),
              HasSubstr("MLX mxfp4, 8 bits"));
  EXPECT_THAT(error_of_manifest(R"({"bits": 8, "group_size": 64})"),
              HasSubstr("expected MLX affine, 8 bits, groups of 64 as "));
  EXPECT_THAT(error_of_manifest(R"({"bits": 8, "group_size": 32, "layers": {}})"),
              HasSubstr("layers"));
  json manifest = manifest_of(kEight);
  manifest["layers"] = {{{"name", kW1}, {"in_dim", 128}}};
  EXPECT_THAT(error_of_manifest(manifest.dump()), HasSubstr("says in_dim 128"));
  manifest["layers"] = {{{"name", kW1}}, {{"name", kW1 + ".weight"}}};
  EXPECT_THAT(error_of_manifest(manifest.dump()), HasSubstr("is listed twice"));
  manifest["layers"] = {{{"name", kW1}, {"out_dim", 0}}};
  EXPECT_THAT(error_of_manifest(manifest.dump()), HasSubstr("out_dim is 0"));
}

TEST_F(MlxModelTest, RefusesTensorsThatDoNotFit) {
  const Tensors good = in_groups(plain("transformer"), kEight);
  const Tensor words = good.at(kW1 + ".weight"), scales = good.at(kW1 + ".scales");
  EXPECT_THAT(error_with(kW1 + ".scales", {}),
              HasSubstr("w1.weight is U32 without a tensor of scales"));
  EXPECT_THAT(error_with(kW1 + ".biases", {}), HasSubstr("and no biases: expected MLX's affine"));
  EXPECT_THAT(error_with(kW1 + ".scales", scales.slice(0, 3)),
              HasSubstr("layers.0.feed_forward.w1.weight is "));
  EXPECT_THAT(error_with(kW1 + ".biases", zeros(scales.shape(), Dtype::kF64)),
              HasSubstr("F64: expected MLX's affine format"));
  EXPECT_THAT(error_with(kW1 + ".weight", words.slice(0, 8)), HasSubstr("expected MLX's affine"));
  EXPECT_THAT(error_with(kW1 + ".weight", words.reshape({words.numel()})),
              HasSubstr("expected MLX's affine"));
  EXPECT_THAT(error_with(kW1 + ".weight", zeros(words.shape(), Dtype::kI32)),
              HasSubstr("expected one number"));
  // Fits itself, but not the network.
  Tensors tensors = good;
  add_parts(tensors, kW1, zeros({8, 64}), kEight);
  save("transformer", tensors);
  EXPECT_THAT(error(), HasSubstr("w1.weight is [8, 64], expected [170, 64]"));
}

TEST_F(MlxModelTest, RefusesAFileThatWasCut) {
  const fs::path file = root_ / "transformer/model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 100);
  EXPECT_THAT(error(), HasSubstr("model.safetensors"));
}

TEST_F(MlxModelTest, CountsWhatTheFilesHold) {
  const Snapshot model = Snapshot::open(root_);
  std::uint64_t bytes = 0, numbers = 0;
  for (const StoredTensor& t : stored_tensors(model, "transformer")) {
    if (t.format.empty()) continue;
    EXPECT_EQ(t.format, "MLX affine, 8 bits, groups of 32");
    bytes += t.bytes;
    numbers += static_cast<std::uint64_t>(t.shape.numel());
  }
  EXPECT_EQ(bytes, numbers + numbers / 32 * 8);
  const auto plan = layer_bytes(stored_tensors(model, "transformer"), {"layers"}, Dtype::kBf16);
  const auto before = layer_bytes(stored_tensors(Snapshot::open(test_snapshot()), "transformer"),
                                  {"layers"}, Dtype::kBf16);
  EXPECT_LT(plan.total(), before.total());
  const WeightMap weights = load_weights(model, "transformer");
  EXPECT_EQ(WeightScope(weights, Dtype::kBf16, "layers").resident_bytes(),
            plan.total() - plan.fixed);
}

TEST_F(MlxModelTest, InspectNamesTheFormat) {
  const auto report = json::parse(inspect_model(root_));
  EXPECT_TRUE(report.at("is_complete"));
  const auto before = json::parse(inspect_model(test_snapshot()));
  const auto& transformer = report.at("components").at("transformer");
  EXPECT_EQ(transformer.at("parameters"),
            before.at("components").at("transformer").at("parameters"));
  EXPECT_GT(transformer.at("dtypes").at("MLX affine, 8 bits, groups of 32").at("tensors"), 20);
}

TEST_F(MlxModelTest, InspectCountsTheWeightsOfOneFile) {
  const auto before = json::parse(inspect_model(test_snapshot()));
  const auto report = json::parse(inspect_model(root_ / "transformer/model.safetensors"));
  const auto& transformer = report.at("components").at("transformer");
  EXPECT_EQ(transformer.at("parameters"),
            before.at("components").at("transformer").at("parameters"));
  const auto& found = transformer.at("dtypes").at("MLX affine, 8 bits, groups of 32");
  EXPECT_EQ(report.at("dtypes").at("MLX affine, 8 bits, groups of 32"), found);
  EXPECT_FALSE(report.at("dtypes").contains("U32"));
  const std::uint64_t weights = found.at("parameters");
  EXPECT_EQ(found.at("bytes"), weights + weights / 32 * 8);
  EXPECT_EQ(report.at("other_tensors"), 0);
  fs::remove(root_ / "quantization.json");
  EXPECT_THAT(error_of([&] { return inspect_model(root_ / "transformer/model.safetensors"); }),
              HasSubstr("groups of 32; a quantization.json"));
}

TEST_F(MlxModelTest, EightBitsOfOurOwnTakeTheirPlace) {
  Pipeline pipeline(root_.string(), {.dtype = ComputeDtype::kInt8});
  EXPECT_EQ(pipeline.compute_dtype(), "int8");
  GenerateOptions options = pipeline.defaults();
  options.prompt = "a red circle";
  options.width = options.height = 64;
  options.steps = 3;
  EXPECT_EQ(pipeline.generate(options).size(), 1u);
}

}  // namespace
}  // namespace zimage
