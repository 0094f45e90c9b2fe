// Models whose weights are in GGUF files: the same pictures as of the weights that they hold.
#include <gmock/gmock.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "gguf_blocks.h"
#include "gguf_writer.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "models/checkpoint_names.h"
#include "models/component_weights.h"
#include "models/layer_bytes.h"
#include "models/transformer_names.h"
#include "ops/elementwise.h"
#include "testing.h"
#include "text_encoder/text_encoder.h"
#include "transformer/transformer.h"
#include "zimage/models.h"
#include "zimage/pipeline.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using Asked = std::vector<std::pair<std::string, Shape>>;

std::uint32_t id_of(std::string_view type) {
  for (std::uint32_t id = 0; id < 64; ++id) {
    if (gguf_type(id) != nullptr && gguf_type(id)->name == type) return id;
  }
  return 64;
}

std::string raw_text(const Tensor& x) {
  return {reinterpret_cast<const char*>(x.raw()), x.bytes()};
}

// One tensor as a file has it, and its values.
struct Stored {
  std::string type, bytes;
  Tensor values;  // f32
};

class Maker {
 public:
  // type: "" for the next that fits the rows.
  Stored make(const Shape& shape, std::string type = "") {
    const bool is_matrix = shape.rank() == 2 && shape[0] > 1;
    if (type.empty()) type = is_matrix ? next(shape[1]) : "F32";
    const ops::BlockFormat* const format = ops::find_block_format(type);
    if (format == nullptr) return plain(shape, type);
    Stored stored{type, random_blocks(*format, shape.numel() / format->size, engine_), {}};
    Tensor data = empty({shape[0], shape[1] / format->size * format->bytes}, Dtype::kU8);
    std::memcpy(data.raw(), stored.bytes.data(), data.bytes());
    stored.values = ops::decoded(*ops::block_rows(data, shape, *format), Dtype::kF32);
    return stored;
  }

 private:
  std::string next(std::int64_t channels) {
    const auto formats = ops::block_formats();
    if (channels % 32 != 0) return count_++ % 2 == 0 ? "F16" : "BF16";
    const ops::BlockFormat& format = formats[count_++ % formats.size()];
    return channels % format.size == 0 ? std::string(format.name) : "Q8_0";
  }

  Stored plain(const Shape& shape, const std::string& type) {
    Tensor x = random_normal(shape, Dtype::kF32, engine_(), 0.05f);
    if (shape.rank() == 1) {
      for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] += 1;  // norms
    }
    if (type == "F32") return {type, raw_text(x), x};
    if (type == "BF16") {
      const Tensor stored = ops::cast(x, Dtype::kBf16);
      return {type, raw_text(stored), ops::cast(stored, Dtype::kF32)};
    }
    std::string bytes;
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const auto bits = static_cast<std::uint16_t>(0x2000 + engine_() % 0x800);
      bytes += bytes_of(bits);
      x.data<float>()[i] = f16_to_float(bits);
    }
    return {type, bytes, x};
  }

  std::mt19937 engine_{1};
  std::size_t count_ = 0;
};

template <class Model, class Config>
Asked asked_by(const Config& config) {
  WeightMap map("probe");
  WeightSurvey survey;
  map.begin_survey(survey);
  (void)Model(config, map, Dtype::kF32);
  return survey.asked;
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  if (const auto at = text.find(from); at != text.npos) text.replace(at, from.size(), to);
}

std::string llama_name(std::string name) {
  replace(name, "embed_tokens", "token_embd");
  replace(name, "layers.", "blk.");
  replace(name, "input_layernorm", "attn_norm");
  replace(name, "post_attention_layernorm", "ffn_norm");
  for (const std::string part : {"q", "k", "v"}) {
    replace(name, "self_attn." + part + "_proj", "attn_" + part);
    replace(name, "self_attn." + part + "_norm", "attn_" + part + "_norm");
  }
  replace(name, "self_attn.o_proj", "attn_output");
  for (const std::string part : {"gate", "up", "down"}) {
    replace(name, "mlp." + part + "_proj", "ffn_" + part);
  }
  return name;
}

// A snapshot with rows of 256 channels, and the same weights in GGUF files.
class GgufModel : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = std::make_unique<TempDir>();
    const fs::path source = test_data("pipeline/snapshot");
    fs::copy(source, root(), fs::copy_options::recursive);
    for (const char* component : {"transformer", "text_encoder"}) {
      for (const auto& file : fs::directory_iterator(root() / component)) {
        if (file.path().filename() != "config.json") fs::remove(file.path());
      }
    }
    edit(root() / "text_encoder/config.json",
         {{"hidden_size", 256}, {"intermediate_size", 96}, {"head_dim", 64}});
    edit(root() / "transformer/config.json", {{"dim", 256},
                                              {"n_heads", 2},
                                              {"n_kv_heads", 2},
                                              {"axes_dims", {32, 48, 48}},
                                              {"cap_feat_dim", 256},
                                              {"n_layers", 2}});
    make_text_encoder();
    make_transformer();
  }
  static void TearDownTestSuite() { dir_.reset(); }

  static fs::path root() { return *dir_ / "model"; }
  static fs::path transformer() { return *dir_ / "dit.gguf"; }
  static fs::path text_encoder() { return *dir_ / "te.gguf"; }

  static ModelOptions from_gguf() {
    ModelOptions options;
    options.transformer = transformer();
    options.text_encoder = text_encoder();
    return options;
  }

  static std::vector<std::uint8_t> draw(const ModelOptions& model, ComputeDtype dtype) {
    Pipeline pipeline(root().string(), {.dtype = dtype, .model = model});
    return draw(pipeline);
  }
  static std::vector<std::uint8_t> draw(Pipeline& pipeline) {
    GenerateOptions options = pipeline.defaults();
    options.prompt = "a red circle";
    options.width = options.height = 64;
    options.steps = 3;
    options.guidance_scale = 0;
    return pipeline.generate(options).front().pixels;
  }

  static std::unique_ptr<TempDir> dir_;

 private:
  static void edit(const fs::path& file, const json& changes) {
    json config = json::parse(std::ifstream(file));
    config.update(changes);
    std::ofstream(file) << config.dump();
  }

  static void add(GgufWriter& gguf, const std::string& name, const Stored& stored,
                  const Shape& shape) {
    gguf.tensor(name, id_of(stored.type), shape, stored.bytes);
  }

  static void make_text_encoder() {
    const auto config =
        TextEncoderConfig::from_json(Json::parse_file(root() / "text_encoder/config.json"));
    Maker maker;
    GgufWriter gguf;
    gguf.text_key("general.architecture", "qwen3");
    std::map<std::string, Tensor> plain;
    for (const auto& [name, shape] : asked_by<TextEncoder>(config)) {
      const Stored stored = maker.make(shape);
      plain[name] = stored.values;
      add(gguf, llama_name(name), stored, shape);
    }
    add(gguf, "output_norm.weight", maker.make({256}), {256});
    gguf.save(text_encoder().string());
    save_safetensors(root() / "text_encoder/model.safetensors", plain);
  }

  // With the original names, q, k and v in one.
  static void make_transformer() {
    const auto config =
        TransformerConfig::from_json(Json::parse_file(root() / "transformer/config.json"));
    Maker maker;
    GgufWriter gguf;
    gguf.text_key("general.architecture", "lumina2");
    std::map<std::string, Tensor> plain;
    std::vector<std::string> names;
    std::map<std::string, Shape> shapes;
    for (const auto& [name, shape] : asked_by<Transformer>(config)) {
      names.push_back(name);
      shapes[name] = shape;
    }
    for (const OriginalTensor& tensor : original_names(names)) {
      Shape shape = shapes.at(tensor.parts.front());
      const std::int64_t rows = shape[0];
      shape[0] *= static_cast<std::int64_t>(tensor.parts.size());
      const Stored stored = maker.make(shape);
      for (std::size_t i = 0; i < tensor.parts.size(); ++i) {
        const auto part = static_cast<std::int64_t>(i);
        plain[tensor.parts[i]] = stored.values.slice(part * rows, (part + 1) * rows).clone();
      }
      add(gguf, "model.diffusion_model." + tensor.name, stored,
          tensor.name.ends_with("pad_token") ? Shape{shape[1]} : shape);
    }
    gguf.save(transformer().string());
    save_safetensors(root() / "transformer/diffusion_pytorch_model.safetensors", plain);
  }
};
std::unique_ptr<TempDir> GgufModel::dir_;

TEST_F(GgufModel, DrawsThePictureOfItsWeights) {
  for (const auto dtype : {ComputeDtype::kF32, ComputeDtype::kBf16, ComputeDtype::kInt8}) {
    EXPECT_EQ(draw(from_gguf(), dtype), draw({}, dtype)) << static_cast<int>(dtype);
  }
}

TEST_F(GgufModel, IsAModelOfItsOwnWithABaseModel) {
  ModelOptions options;
  options.base_model = root().string();
  const auto expected = draw(from_gguf(), ComputeDtype::kBf16);
  Pipeline file(transformer().string(), {.dtype = ComputeDtype::kBf16, .model = options});
  EXPECT_EQ(draw(file), expected);  // text encoder from the base
  fs::create_directories(*dir_ / "folder/unet");
  fs::copy(transformer(), *dir_ / "folder/unet");
  fs::copy(text_encoder(), *dir_ / "folder");
  Pipeline folder((*dir_ / "folder").string(), {.dtype = ComputeDtype::kBf16, .model = options});
  EXPECT_EQ(draw(folder), expected);
}

TEST_F(GgufModel, HasEveryFormat) {
  const json report = json::parse(inspect_model(transformer()));
  EXPECT_EQ(report["kind"], "transformer checkpoint");
  EXPECT_EQ(report["format"], "GGUF");
  EXPECT_EQ(report["metadata"]["general.architecture"], "lumina2");
  const json& dtypes = report["components"]["transformer"]["dtypes"];
  for (const ops::BlockFormat& format : ops::block_formats()) {
    const json& found = dtypes[std::string(format.name)];
    ASSERT_TRUE(found.is_object()) << format.name;
    EXPECT_EQ(found["bytes"].get<std::int64_t>() * format.size,
              found["parameters"].get<std::int64_t>() * format.bytes);
  }
  const json encoder = json::parse(inspect_model(text_encoder()));
  EXPECT_EQ(encoder["components"]["text_encoder"]["naming"], "llama.cpp");
  const json plain = json::parse(inspect_model(root()));
  EXPECT_TRUE(plain["is_complete"]);
  EXPECT_EQ(report["components"]["transformer"]["parameters"],
            plain["components"]["transformer"]["parameters"]);
}

TEST_F(GgufModel, TakesTheMemoryOfItsFile) {
  const auto transformer_bytes = [&](const ModelOptions& model) {
    const Snapshot snapshot = Snapshot::open(root(), {.weights_variant = "", .weight_files = [&] {
                                                        std::map<std::string, fs::path> files;
                                                        if (!model.transformer.empty())
                                                          files["transformer"] = model.transformer;
                                                        return files;
                                                      }()});
    const LayerBytes bytes =
        layer_bytes(stored_tensors(snapshot, "transformer"), {"layers"}, Dtype::kBf16);
    const WeightMap weights = load_weights(snapshot, "transformer");
    EXPECT_EQ(WeightScope(weights, Dtype::kBf16, "layers.0").resident_bytes(),
              bytes.layers.front());
    return bytes.total();
  };
  const std::uint64_t plain = transformer_bytes({}), gguf = transformer_bytes(from_gguf());
  EXPECT_LT(gguf, plain);
}

// A file that lacks or has something else.
class BadGguf : public GgufModel {
 protected:
  // A copy of a file in which one tensor has another type.
  static void save_with_type(const fs::path& file, const std::string& name, std::uint32_t id,
                             const fs::path& copy) {
    std::ifstream in(file, std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(in), {});
    const auto at = bytes.find(gguf_text(name));
    ASSERT_NE(at, std::string::npos);
    const std::size_t axes_at = at + gguf_text(name).size();
    const auto axes = static_cast<std::size_t>(bytes[axes_at]);
    bytes.replace(axes_at + 4 + axes * 8, 4, bytes_of(id));
    std::ofstream(copy, std::ios::binary) << bytes;
  }
  // Before any work.
  static RunPlan plan(const PipelineOptions& how) {
    const Pipeline pipeline(root().string(), how);
    GenerateOptions options = pipeline.defaults();
    options.prompt = "a cat";
    options.width = options.height = 64;
    return pipeline.plan(options);
  }
  std::string error_with(const GgufWriter& writer) {
    writer.save((*dir_ / "bad.gguf").string());
    ModelOptions options;
    options.transformer = *dir_ / "bad.gguf";
    return error_of([&] { return draw(options, ComputeDtype::kBf16); });
  }
};

TEST_F(BadGguf, SaysWhatModelItIsOf) {
  GgufWriter flux;
  flux.text_key("general.architecture", "flux");
  flux.tensor("double_blocks.0.img_attn.qkv.weight", 0, {2, 2}, std::string(16, '\0'));
  EXPECT_THAT(error_with(flux), HasSubstr("bad.gguf is a GGUF file of the architecture flux; "
                                          "expected a checkpoint that holds a Z-Image"));
  GgufWriter llama;
  llama.text_key("general.architecture", "llama");
  llama.tensor("token_embd.weight", 0, {2, 2}, std::string(16, '\0'));
  llama.tensor("blk.0.attn_q.weight", 0, {2, 2}, std::string(16, '\0'));
  EXPECT_THAT(error_with(llama), HasSubstr("is a GGUF file of the architecture llama"));
  EXPECT_THAT(error_with(GgufWriter()), HasSubstr("is a GGUF file of another model"));
  EXPECT_THAT(error_of([&] {
                ModelOptions options;
                options.transformer = text_encoder();
                return draw(options, ComputeDtype::kBf16);
              }),
              HasSubstr("holds no transformer; it holds text_encoder"));
}

TEST_F(BadGguf, NamesATypeThatCannotBeReadWhereItIsNeeded) {
  ModelOptions options;
  options.transformer = *dir_ / "type.gguf";
  for (const auto& [id, name] :
       std::map<std::uint32_t, std::string>{{16, "IQ2_XXS"}, {999, "type 999"}}) {
    save_with_type(transformer(), "model.diffusion_model.layers.0.attention.qkv.weight", id,
                   options.transformer);
    for (const auto dtype : {ComputeDtype::kBf16, ComputeDtype::kInt8}) {
      const PipelineOptions how{.dtype = dtype, .model = options};
      EXPECT_THAT(error_of([&] { return plan(how); }),
                  HasSubstr("layers.0.attention.qkv.weight is " + name +
                            ", which cannot be read; expected F32, F16, BF16, Q8_0, Q4_0,"));
    }
    const json report = json::parse(inspect_model(options.transformer));
    EXPECT_EQ(report["components"]["transformer"]["dtypes"][name]["parameters"], 768 * 256);
  }
}

TEST_F(BadGguf, ReadsPastATypeThatNothingNeeds) {
  const auto expected = draw(from_gguf(), ComputeDtype::kBf16);
  ModelOptions options = from_gguf();
  options.text_encoder = *dir_ / "type.gguf";
  for (const auto& [id, name] :
       std::map<std::uint32_t, std::string>{{23, "IQ4_XS"}, {999, "type 999"}}) {
    save_with_type(text_encoder(), "output_norm.weight", id, options.text_encoder);
    EXPECT_EQ(draw(options, ComputeDtype::kBf16), expected);
    const json report = json::parse(inspect_model(options.text_encoder));
    EXPECT_EQ(report["components"]["text_encoder"]["dtypes"][name]["tensors"], 1);
  }
}

TEST_F(BadGguf, RefusesAPartOfAFileAndABrokenOne) {
  GgufWriter part;
  part.key("split.count", 2, bytes_of(std::uint16_t{3}));
  EXPECT_THAT(error_with(part), HasSubstr("is one of 3 parts (split.count)"));
  std::ofstream(*dir_ / "short.gguf") << "GGUF and more";
  ModelOptions options;
  options.transformer = *dir_ / "short.gguf";
  EXPECT_THAT(error_of([&] { return draw(options, ComputeDtype::kBf16); }),
              HasSubstr("short.gguf: has the GGUF version"));
}

TEST_F(BadGguf, StopsAtWeightsThatAreNotFinite) {
  std::string bytes;
  {
    std::ifstream in(transformer(), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto as_bytes = std::as_bytes(std::span(bytes.data(), bytes.size()));
  const GgufHeader header = parse_gguf_header(as_bytes, "dit.gguf");
  for (const auto& entry : header.tensors) {
    if (!entry.name.ends_with("layers.0.attention.qkv.weight")) continue;
    const std::size_t begin = header.data_begin + entry.begin;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(begin), entry.end - entry.begin,
                '\xff');
  }
  std::ofstream(*dir_ / "nan.gguf", std::ios::binary) << bytes;
  ModelOptions options;
  options.transformer = *dir_ / "nan.gguf";
  EXPECT_THAT(error_of([&] { return draw(options, ComputeDtype::kBf16); }), HasSubstr("finite"));
}

}  // namespace
}  // namespace zimage
