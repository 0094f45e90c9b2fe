// Models and control networks that zimage writes in MLX's formats.
#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "io/safetensors.h"
#include "models/snapshot.h"
#include "ops/elementwise.h"
#include "ops/mlx.h"
#include "picture_testing.h"
#include "testing.h"
#include "zimage/models.h"
#include "zimage/quantize.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using Tensors = std::map<std::string, Tensor>;

Tensors tensors_in(const fs::path& folder) {
  Tensors tensors;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file = SafetensorsFile::open(entry.path());
    tensors.insert(file.tensors().begin(), file.tensors().end());
  }
  return tensors;
}

json json_in(const fs::path& file) { return json::parse(std::ifstream(file)); }

std::string folder_text(const fs::path& folder) {
  std::string text;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) text += entry.path().lexically_relative(folder).string() + '\n';
  }
  return text;
}

class QuantizeMlx : public testing::Test {
 protected:
  QuantizeMlx() : model_(dir_ / "model"), result_(dir_ / "result") {
    fs::copy(test_snapshot(), model_, fs::copy_options::recursive);
  }
  void quantize(const MlxOptions& options = {}) { quantize_mlx(model_.string(), result_, options); }
  std::string error(const MlxOptions& options = {}) {
    return error_of([&] { quantize(options); });
  }
  std::string control_error(const fs::path& control, const std::string& file = "") {
    return error_of([&] { quantize_control_mlx(control.string(), file, result_, {}); });
  }
  // The model's transformer with one tensor changed; undefined: removed.
  void change(const std::string& name, const Tensor& tensor) const {
    Tensors tensors = tensors_in(test_snapshot() / "transformer");
    tensors[name] = tensor;
    if (!tensor.defined()) tensors.erase(name);
    fs::remove(model_ / "transformer/diffusion_pytorch_model.safetensors.index.json");
    fs::remove(model_ / "transformer/diffusion_pytorch_model-00002-of-00002.safetensors");
    fs::remove(model_ / "transformer/diffusion_pytorch_model-00001-of-00002.safetensors");
    save_safetensors(model_ / "transformer/diffusion_pytorch_model.safetensors", tensors);
  }
  // Nothing but the model and what is named.
  void expect_only(const std::vector<std::string>& names) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(dir_.path())) {
      found.push_back(entry.path().filename().string());
    }
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(names));
  }
  static Image draw(const fs::path& model, const fs::path& control = {}) {
    Pipeline pipeline(
        model.string(),
        {.dtype = ComputeDtype::kF32, .threads = 1, .model = {.controlnet = control.string()}});
    GenerateOptions options = pipeline.defaults();
    options.prompt = "a red circle";
    options.width = 96;
    options.height = 64;
    options.steps = 3;
    options.guidance_scale = 0;
    if (!control.empty()) options.control.image = test_input("scene");
    return pipeline.generate(options).front();
  }

  TempDir dir_;
  const fs::path model_, result_;
};

TEST_F(QuantizeMlx, DrawsNearlyThePictureOfTheSource) {
  quantize();
  EXPECT_GT(difference(draw(result_), draw(model_)).psnr, 35);
  expect_only({"model", "result"});
}

TEST_F(QuantizeMlx, WritesWhatMlxLoads) {
  quantize({.bits = 4, .group_size = 64});
  const Tensors before = tensors_in(model_ / "transformer"),
                after = tensors_in(result_ / "transformer");
  EXPECT_EQ(after.at("layers.0.feed_forward.w1.weight").shape(), (Shape{170, 8}));
  EXPECT_EQ(after.at("layers.0.feed_forward.w1.weight").dtype(), Dtype::kU32);
  EXPECT_EQ(after.at("layers.0.feed_forward.w1.scales").shape(), (Shape{170, 1}));
  EXPECT_EQ(after.at("layers.0.feed_forward.w1.biases").dtype(), Dtype::kF32);
  EXPECT_TRUE(after.contains("layers.0.adaLN_modulation.0.scales"));
  for (const char* name : {"t_embedder.mlp.0", "cap_embedder.1", "all_x_embedder.2-1",
                           "all_final_layer.2-1.linear", "layers.0.feed_forward.w2"}) {
    const std::string weight = std::string(name) + ".weight";
    EXPECT_FALSE(after.contains(std::string(name) + ".scales")) << name;
    EXPECT_EQ(values_of(after.at(weight)), values_of(before.at(weight))) << name;
  }
  const auto matrix =
      ops::quantize_mlx(ops::cast(before.at("layers.2.attention.to_v.weight"), Dtype::kF32),
                        {.bits = 4, .group_size = 64});
  EXPECT_EQ(values_of(after.at("layers.2.attention.to_v.scales")), values_of(matrix.scales));
}

TEST_F(QuantizeMlx, KeepsAllElseOfTheModel) {
  std::ofstream(model_ / "README.md") << "text";
  std::ofstream(model_ / "weights.bin") << "not copied";
  fs::create_directories(model_ / "assets/more");
  std::ofstream(model_ / "assets/more/a.png") << "picture";
  fs::create_directory_symlink(model_ / "assets/more", model_ / "assets/link");
  fs::create_directory_symlink(".", model_ / "assets/circle");
  quantize();
  const std::string files = folder_text(result_);
  for (const char* name : {"README.md", "model_index.json", "assets/more/a.png",
                           "assets/link/a.png", "tokenizer/tokenizer.json",
                           "tokenizer/chat_template.jinja", "scheduler/scheduler_config.json",
                           "vae/config.json", "transformer/config.json", "text_encoder/config.json",
                           "vae/diffusion_pytorch_model.safetensors", "quantization.json"}) {
    EXPECT_THAT(files, HasSubstr(name));
  }
  EXPECT_THAT(files, Not(HasSubstr("weights.bin")));
}

TEST_F(QuantizeMlx, TheManifestNamesEveryLayerAndItsFile) {
  quantize({.bits = 8, .group_size = 32, .max_shard_bytes = 100'000});
  const json manifest = json_in(result_ / "quantization.json");
  EXPECT_EQ(manifest.at("bits"), 8);
  EXPECT_EQ(manifest.at("group_size"), 32);
  EXPECT_EQ(manifest.at("mode"), "affine");
  EXPECT_FALSE(manifest.contains("model_id"));
  std::size_t scales = 0;
  for (const char* component : {"transformer", "text_encoder"}) {
    for (const auto& [name, tensor] : tensors_in(result_ / component)) {
      scales += name.ends_with(".scales") ? 1 : 0;
    }
  }
  EXPECT_EQ(manifest.at("layers").size(), scales);
  for (const json& layer : manifest.at("layers")) {
    const SafetensorsFile file =
        SafetensorsFile::open(result_ / layer.at("file").get<std::string>());
    const Tensor& words = file.tensors().at(layer.at("name").get<std::string>() + ".weight");
    EXPECT_EQ(words.dim(0), layer.at("out_dim"));
    EXPECT_EQ(words.dim(1) * 4, layer.at("in_dim"));
  }
}

TEST_F(QuantizeMlx, LargeComponentsGoIntoShardsWithAnIndex) {
  quantize();
  const Tensors whole = tensors_in(result_ / "transformer");
  const Image picture = draw(result_);
  fs::remove_all(result_);
  constexpr std::uint64_t kLimit = 150'000;
  quantize({.max_shard_bytes = kLimit});
  const Tensors parts = tensors_in(result_ / "transformer");
  ASSERT_EQ(parts.size(), whole.size());
  const json index = json_in(result_ / "transformer/model.safetensors.index.json");
  std::string last;  // shards hold names in order
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : parts) {
    const std::string file = index.at("weight_map").at(name);
    EXPECT_GE(file, last);
    last = file;
    bytes += tensor.bytes();
  }
  EXPECT_EQ(index.at("metadata").at("total_size"), bytes);
  EXPECT_EQ(last.substr(0, 7), "model-0");
  for (const auto& entry : fs::directory_iterator(result_ / "transformer")) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file = SafetensorsFile::open(entry.path());
    std::uint64_t held = 0;
    for (const auto& [name, tensor] : file.tensors()) held += tensor.bytes();
    EXPECT_TRUE(held <= kLimit || file.tensors().size() == 1) << entry.path();
  }
  EXPECT_EQ(draw(result_).pixels, picture.pixels);
}

TEST_F(QuantizeMlx, TakesEveryFormatAndRefusesOthers) {
  quantize({.mode = "mxfp4", .bits = 4});
  EXPECT_EQ(tensors_in(result_ / "transformer").at("layers.0.attention.to_q.scales").dtype(),
            Dtype::kU8);
  EXPECT_GT(difference(draw(result_), draw(model_)).psnr, 12);
  fs::remove_all(result_);
  EXPECT_THAT(error({.bits = 6}), HasSubstr("--bits 6: expected 4 or 8"));
  EXPECT_THAT(error({.group_size = 48}), HasSubstr("--group-size 48: expected 32, 64 or 128"));
  EXPECT_THAT(error({.mode = "mxfp4"}), HasSubstr("expected --bits 4 and --group-size 32"));
  EXPECT_THAT(error({.mode = "nf4"}), HasSubstr("--mode nf4: expected affine or mxfp4"));
}

TEST_F(QuantizeMlx, TakesAnEmptyFolderAndNoOther) {
  fs::create_directory(result_);
  quantize();
  EXPECT_TRUE(fs::exists(result_ / "quantization.json"));
  EXPECT_THAT(error(), HasSubstr("exists; expected a new or an empty folder"));
  EXPECT_THAT(error_of([&] { quantize_mlx(model_.string(), model_ / "vae/new", {}); }),
              HasSubstr("lies inside the source"));
  EXPECT_THAT(error_of([&] { quantize_mlx(model_.string(), "", {}); }), HasSubstr("--output"));
}

TEST_F(QuantizeMlx, RefusesSourcesThatAreQuantised) {
  quantize();
  EXPECT_THAT(error_of([&] { quantize_mlx(result_.string(), dir_ / "again", {}); }),
              HasSubstr("is quantised already"));
  EXPECT_THAT(error_of([&] { quantize_int8(result_.string(), dir_ / "again.safetensors", {}); }),
              HasSubstr("is quantised already"));
  expect_only({"model", "result"});
}

TEST_F(QuantizeMlx, RefusesModelsThatLackSomethingAndLeavesNothing) {
  change("layers.0.attention.to_q.weight", {});
  EXPECT_THAT(error(), HasSubstr("tensor layers.0.attention.to_q.weight is missing"));
  change("layers.0.attention.to_q.weight", zeros({3, 64}));
  EXPECT_THAT(error(), HasSubstr("to_q.weight is [3, 64], expected [64, 64]"));
  Tensor broken = zeros({64, 64});
  broken.data<float>()[70] = NAN;
  change("layers.0.attention.to_q.weight", broken);
  EXPECT_THAT(error(), HasSubstr("row 1 of layers.0.attention.to_q.weight holds values that are"));
  fs::remove(model_ / "vae/diffusion_pytorch_model.safetensors");
  EXPECT_THAT(error(), HasSubstr("vae: no weights"));
  fs::remove(model_ / "tokenizer/tokenizer.json");
  EXPECT_THAT(error(), HasSubstr("tokenizer/tokenizer.json is missing"));
  expect_only({"model"});
}

TEST_F(QuantizeMlx, LeavesNothingWhenItIsStopped) {
  const MlxOptions options{.on_progress = [](int done, int) {
    if (done == 9) throw Cancelled("cancelled");
  }};
  EXPECT_EQ(error(options), "cancelled");
  expect_only({"model"});
}

TEST_F(QuantizeMlx, ReplacedPartsAreWrittenButForTheVae) {
  MlxOptions options;
  options.model.transformer = model_ / "transformer/one.safetensors";
  save_safetensors(options.model.transformer, tensors_in(model_ / "transformer"));
  quantize(options);
  EXPECT_TRUE(fs::exists(result_ / "transformer/model.safetensors"));
  const json manifest = json_in(result_ / "quantization.json");
  EXPECT_EQ(manifest.at("transformer"), "one.safetensors");
  EXPECT_FALSE(manifest.contains("text_encoder"));
  fs::remove_all(result_);
  options.model.vae = dir_ / "vae.safetensors";
  save_safetensors(options.model.vae, tensors_in(model_ / "vae"));
  EXPECT_THAT(error(options), HasSubstr("the VAE is copied as the model's folder vae/"));
}

TEST_F(QuantizeMlx, TheManifestSaysWhatWasQuantised) {
  const std::string commit(40, 'a');
  const fs::path repository = dir_ / "hub/models--org--name";
  fs::create_directories(repository / "refs");
  fs::create_directories(repository / "snapshots");
  std::ofstream(repository / "refs/main") << commit;
  fs::copy(test_snapshot(), repository / "snapshots" / commit, fs::copy_options::recursive);
  ::setenv("HF_HUB_CACHE", (dir_ / "hub").c_str(), 1);
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  quantize_mlx("org/name", result_, {});
  const json whole = json_in(result_ / "quantization.json");
  EXPECT_EQ(whole.at("model_id"), "org/name");
  EXPECT_EQ(whole.at("revision"), commit);
  fs::remove_all(result_);
  MlxOptions options;
  options.model.transformer = dir_ / "mine.safetensors";
  save_safetensors(options.model.transformer, tensors_in(model_ / "transformer"));
  quantize_mlx("org/name:main", result_, options);
  const json replaced = json_in(result_ / "quantization.json");
  EXPECT_EQ(replaced.at("transformer"), "mine.safetensors");
  EXPECT_FALSE(replaced.contains("model_id"));
  EXPECT_EQ(replaced.at("base_model_id"), "org/name");
  EXPECT_EQ(replaced.at("base_revision"), "main");
  ::unsetenv("HF_HUB_CACHE");
  ::unsetenv("HF_HUB_OFFLINE");
}

TEST_F(QuantizeMlx, AControlNetworkSteersAsBefore) {
  const fs::path control = test_data("control/union-2.1.safetensors");
  quantize_control_mlx(control.string(), "", result_, {});
  const Tensors tensors = tensors_in(result_);
  EXPECT_TRUE(tensors.contains("control_layers.0.before_proj.scales"));
  EXPECT_FALSE(tensors.contains("control_all_x_embedder.2-1.scales"));
  const json manifest = json_in(result_ / "controlnet_quantization.json");
  EXPECT_EQ(manifest.at("layers").at(0).at("file"), "model.safetensors");
  const Image before = draw(model_, control), after = draw(model_, result_);
  EXPECT_GT(difference(after, before).psnr, 35);
  EXPECT_LT(difference(draw(model_), before).psnr, 30);
  EXPECT_EQ(draw(model_, result_ / "model.safetensors").pixels, after.pixels);
  const json plain = json::parse(inspect_model(control)),
             report = json::parse(inspect_model(result_ / "model.safetensors"));
  EXPECT_EQ(report.at("kind"), "a ControlNet");
  EXPECT_EQ(report.at("components").at("controlnet").at("parameters"),
            plain.at("components").at("controlnet").at("parameters"));
  EXPECT_TRUE(report.at("dtypes").contains("MLX affine, 8 bits, groups of 32"));
  EXPECT_THAT(control_error(control), HasSubstr("exists; expected a new"));
  const fs::path quantised = dir_ / "quantised";
  fs::rename(result_, quantised);
  EXPECT_THAT(control_error(quantised), HasSubstr("is quantised already"));
}

TEST_F(QuantizeMlx, ARefinerOfZerosStaysOne) {
  const fs::path control = test_data("control/union-2.0.safetensors");
  if (!fs::exists(control)) GTEST_SKIP();
  quantize_control_mlx(control.string(), "", result_, {.bits = 4});
  EXPECT_NE(draw(model_, result_).pixels, draw(model_).pixels);
}

TEST_F(QuantizeMlx, RefusesControlNetworksThatAreOpenOrLackSomething) {
  const fs::path folder = dir_ / "control";
  fs::create_directory(folder);
  for (const char* name : {"union-1.0.safetensors", "union-2.1.safetensors"}) {
    fs::copy_file(test_data("control") / name, folder / name);
  }
  EXPECT_THAT(control_error(folder), HasSubstr("--file names the one to use"));
  EXPECT_THAT(control_error(folder, "x.safetensors"), HasSubstr("--file x.safetensors: "));
  EXPECT_THAT(control_error(""), HasSubstr("--input: no text"));
  EXPECT_THAT(control_error(model_ / "vae/diffusion_pytorch_model.safetensors"),
              HasSubstr("expected a control network for Z-Image"));
  Tensors tensors = SafetensorsFile::open(folder / "union-2.1.safetensors").tensors();
  const Tensor norm = tensors.at("control_layers.0.attention_norm1.weight");
  tensors.erase("control_layers.0.attention_norm1.weight");
  save_safetensors(folder / "lacks.safetensors", tensors);
  EXPECT_THAT(control_error(folder, "lacks.safetensors"),
              HasSubstr("control_layers.0.attention_norm1.weight is missing"));
  tensors["control_layers.0.attention_norm1.weight"] = norm;
  const auto error_with = [&](const std::string& name, const Shape& shape) {
    Tensors changed = tensors;
    changed[name] = zeros(shape);
    save_safetensors(folder / "lacks.safetensors", changed);
    return control_error(folder, "lacks.safetensors");
  };
  const std::int64_t dim = norm.dim(0);
  EXPECT_THAT(error_with("control_all_x_embedder.2-1.weight", {3, 132}),
              HasSubstr(str("weight is [3, 132], expected [", dim, ", channels * 4]")));
  EXPECT_THAT(error_with("control_all_x_embedder.2-1.bias", {3}),
              HasSubstr(str("embedder.2-1.bias is [3], expected [", dim, "]")));
  EXPECT_THAT(error_with("control_layers.1.after_proj.weight", {dim, 3}),
              HasSubstr(str("after_proj.weight is [", dim, ", 3], expected [", dim, ", ", dim)));
  EXPECT_THAT(error_with("control_noise_refiner.0.feed_forward.w1.weight", {5, dim}),
              HasSubstr(str("w1.weight is [5, ", dim, "], expected [")));
  EXPECT_THAT(error_with("control_layers.0.more.weight", {2, 2}),
              HasSubstr("are not part of the network: control_layers.0.more.weight"));
  expect_only({"model", "control"});
}

}  // namespace
}  // namespace zimage
