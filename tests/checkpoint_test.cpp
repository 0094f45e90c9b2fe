// Models that are files: the same picture as from the snapshot that they were made of.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "io/safetensors.h"
#include "models/checkpoint_names.h"
#include "models/component_weights.h"
#include "models/snapshot.h"
#include "models/vae_names.h"
#include "ops/elementwise.h"
#include "testing.h"
#include "zimage/pipeline.h"
#include "zimage/quantize.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Tensors = std::map<std::string, Tensor>;

fs::path snapshot() { return test_data("pipeline/snapshot"); }

Tensors tensors_of(const std::string& component) {
  const Snapshot model = Snapshot::open(snapshot());
  Tensors tensors;
  for (const fs::path& file : model.weight_files(component)) {
    const SafetensorsFile opened = SafetensorsFile::open(file);
    tensors.insert(opened.tensors().begin(), opened.tensors().end());
  }
  return tensors;
}

void replace(std::string& text, const std::string& from, const std::string& to) {
  if (const auto at = text.find(from); at != text.npos) text.replace(at, from.size(), to);
}

// As ComfyUI names a transformer, q, k and v in one.
Tensors comfy_transformer(const std::string& prefix) {
  const Tensors diffusers = tensors_of("transformer");
  Tensors result;
  for (const auto& [name, tensor] : diffusers) {
    std::string comfy = name;
    if (name.find(".attention.to_k.") != name.npos || name.find(".attention.to_v.") != name.npos) {
      continue;
    }
    Tensor value = tensor;
    if (name.find(".attention.to_q.") != name.npos) {
      std::string k = name, v = name;
      replace(k, "to_q", "to_k");
      replace(v, "to_q", "to_v");
      value = concat(concat(tensor, diffusers.at(k)), diffusers.at(v));
      replace(comfy, "to_q", "qkv");
    }
    replace(comfy, ".attention.norm_q.", ".attention.q_norm.");
    replace(comfy, ".attention.norm_k.", ".attention.k_norm.");
    replace(comfy, ".attention.to_out.0.", ".attention.out.");
    replace(comfy, "all_final_layer.2-1.", "final_layer.");
    replace(comfy, "all_x_embedder.2-1.", "x_embedder.");
    if (comfy.ends_with("pad_token")) value = value.reshape({value.numel()});
    result[prefix + comfy] = value;
  }
  return result;
}

// As CompVis names an autoencoder.
Tensors compvis_vae(const std::string& prefix) {
  Tensors result;
  for (const auto& [name, tensor] : tensors_of("vae")) {
    std::string old = name;
    const int stages = 4;
    for (int i = 0; i < stages; ++i) {
      replace(old, str("up_blocks.", i, ".resnets."), str("up.", stages - 1 - i, ".block."));
      replace(old, str("up_blocks.", i, ".upsamplers.0."),
              str("up.", stages - 1 - i, ".upsample."));
      replace(old, str("down_blocks.", i, ".resnets."), str("down.", i, ".block."));
      replace(old, str("down_blocks.", i, ".downsamplers.0."), str("down.", i, ".downsample."));
    }
    replace(old, "mid_block.resnets.0", "mid.block_1");
    replace(old, "mid_block.resnets.1", "mid.block_2");
    replace(old, "mid_block.attentions.0.group_norm", "mid.attn_1.norm");
    replace(old, "mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out");
    for (const std::string part : {"q", "k", "v"}) {
      replace(old, "mid_block.attentions.0.to_" + part, "mid.attn_1." + part);
    }
    replace(old, "conv_norm_out", "norm_out");
    replace(old, "conv_shortcut", "nin_shortcut");
    Tensor value = tensor;
    if (old.find("mid.attn_1.") != old.npos && tensor.rank() == 2) {
      value = tensor.reshape({tensor.dim(0), tensor.dim(1), 1, 1});
    }
    result[prefix + old] = value;
  }
  return result;
}

Tensors prefixed(const std::string& component, const std::string& prefix) {
  Tensors result;
  for (const auto& [name, tensor] : tensors_of(component)) result[prefix + name] = tensor;
  return result;
}

Image draw(Pipeline& pipeline) {
  GenerateOptions options = pipeline.defaults();
  options.prompt = "a red circle";
  options.width = options.height = 64;
  options.steps = 3;
  options.guidance_scale = 0;
  return pipeline.generate(options).front();
}

Image draw(const std::string& model, const ModelOptions& how = {}) {
  Pipeline pipeline(model, {.dtype = ComputeDtype::kF32, .threads = 1, .model = how});
  return draw(pipeline);
}

class CheckpointTest : public testing::Test {
 protected:
  std::string save(const std::string& name, const Tensors& tensors) {
    save_safetensors(dir_ / name, tensors);
    return (dir_ / name).string();
  }
  // A transformer that quantize_int8() wrote.
  std::string quantised(const std::vector<std::string>& keep) {
    const std::string file = (dir_ / "int8.safetensors").string();
    quantize_int8(snapshot().string(), file, {.keep = keep});
    return file;
  }
  ModelOptions base() const { return {.weights_variant = "", .base_model = snapshot().string()}; }

  TempDir dir_;
};

TEST_F(CheckpointTest, AllInOneFileDrawsTheSnapshotsPicture) {
  Tensors all = comfy_transformer("model.diffusion_model.");
  all.merge(prefixed("text_encoder", "text_encoders.qwen3_4b.transformer."));
  all.merge(compvis_vae("vae."));
  all["text_encoders.qwen3_4b.logit_scale"] = from_values({1}, {1.0f});
  const std::string file = save("all.safetensors", all);
  EXPECT_EQ(draw(file, base()).pixels, draw(snapshot()).pixels);
  EXPECT_THAT(inspect_model(file), HasSubstr("checkpoint of several components"));
}

TEST_F(CheckpointTest, SplitFilesReplaceComponentsAndMakeAFolder) {
  const std::string transformer = save("dit.safetensors", comfy_transformer(""));
  const std::string text_encoder = save("te.safetensors", prefixed("text_encoder", ""));
  const std::string vae = save("ae.safetensors", compvis_vae(""));
  const Image expected = draw(snapshot());
  EXPECT_EQ(draw(snapshot(), {.weights_variant = "",
                              .base_model = "",
                              .transformer = transformer,
                              .text_encoder = text_encoder,
                              .vae = vae})
                .pixels,
            expected.pixels);
  EXPECT_EQ(draw(transformer, base()).pixels, expected.pixels);
  EXPECT_EQ(draw(dir_.path(), base()).pixels, expected.pixels);
  save("other.safetensors", compvis_vae("vae."));
  EXPECT_THAT(error_of([&] { draw(dir_.path(), base()); }), HasSubstr("both hold a vae"));
  ModelOptions named = base();
  named.vae = vae;
  EXPECT_EQ(draw(dir_.path(), named).pixels, expected.pixels);
}

TEST_F(CheckpointTest, ASnapshotThatLacksAFileIsNoFolderOfCheckpoints) {
  const fs::path root = dir_ / "model";
  fs::copy(snapshot(), root, fs::copy_options::recursive);
  fs::remove(root / "vae/config.json");
  EXPECT_THAT(error_of([&] { draw(root); }), HasSubstr("vae/config.json is missing"));
}

TEST_F(CheckpointTest, ScaledEightBitFloatsAreMultipliedBack) {
  Tensors tensors = comfy_transformer("");
  const std::string name = "layers.0.feed_forward.w1.weight";
  const Shape shape = tensors.at(name).shape();
  Tensor small = empty(shape, Dtype::kF8E4M3);
  for (std::int64_t i = 0; i < small.numel(); ++i) small.raw()[i] = std::byte{0x38};  // 1.0
  tensors[name] = small;
  tensors["layers.0.feed_forward.w1.scale_weight"] = from_values({1}, {0.25f});
  tensors["layers.0.feed_forward.w1.scale_input"] = from_values({1}, {3.0f});
  tensors["scaled_fp8"] = zeros({2}, Dtype::kF8E4M3);
  const std::string file = save("scaled.safetensors", tensors);
  const Snapshot model =
      Snapshot::open(snapshot(), {.weights_variant = "", .weight_files = {{"transformer", file}}});
  const WeightMap weights = load_weights(model, "transformer");
  const Tensor w =
      (WeightScope(weights, Dtype::kF32) / "layers.0.feed_forward.w1").matrix("weight", shape);
  EXPECT_EQ(values_of(w), std::vector<float>(static_cast<std::size_t>(w.numel()), 0.25f));
  EXPECT_NE(draw(file, base()).pixels.size(), 0u);
}

TEST_F(CheckpointTest, EightBitsFromAFileDrawWhatQuantisingDraws) {
  const auto draw_int8 = [](const ModelOptions& model, ComputeDtype dtype) {
    Pipeline pipeline(snapshot().string(), {.dtype = dtype, .model = model});
    EXPECT_EQ(pipeline.compute_dtype(), "int8");
    return draw(pipeline).pixels;
  };
  const auto expected = draw_int8({}, ComputeDtype::kInt8);
  ModelOptions from_file;
  from_file.transformer = quantised({});
  EXPECT_EQ(draw_int8(from_file, ComputeDtype::kAuto), expected);
  EXPECT_EQ(draw_int8(from_file, ComputeDtype::kInt8), expected);
  Pipeline dense(snapshot().string(), {.dtype = ComputeDtype::kBf16, .model = from_file});
  EXPECT_EQ(dense.compute_dtype(), "bf16");
  EXPECT_NE(draw(dense).pixels.size(), 0u);
}

TEST_F(CheckpointTest, AnEightBitFileHasComfysNamesAndParts) {
  const SafetensorsFile file = SafetensorsFile::open(quantised({"layers.1"}));
  const auto& tensors = file.tensors();
  const Tensor& qkv = tensors.at("layers.0.attention.qkv.weight");
  EXPECT_EQ(qkv.dtype(), Dtype::kI8);
  EXPECT_EQ(tensors.at("layers.0.attention.qkv.weight_scale").shape(), (Shape{qkv.dim(0), 1}));
  const Tensor& marker = tensors.at("layers.0.attention.qkv.comfy_quant");
  const std::string text(reinterpret_cast<const char*>(marker.raw()), marker.bytes());
  EXPECT_THAT(text, HasSubstr(R"("format": "int8_tensorwise", "convrot": true)"));
  EXPECT_EQ(tensors.at("layers.1.attention.qkv.weight").dtype(), Dtype::kBf16);
  EXPECT_EQ(tensors.at("noise_refiner.0.feed_forward.w1.weight").dtype(), Dtype::kBf16);
  EXPECT_TRUE(tensors.contains("final_layer.linear.weight"));
}

TEST_F(CheckpointTest, QuantisesNoFaultyModelAndReplacesNoFile) {
  const auto error = [&](const ModelOptions& model, const std::string& output,
                         const std::vector<std::string>& keep = {}) {
    return error_of(
        [&] { quantize_int8(snapshot().string(), dir_ / output, {.keep = keep, .model = model}); });
  };
  EXPECT_THAT(error({}, "a.txt"), HasSubstr("expected a name that ends with .safetensors"));
  EXPECT_THAT(error({}, "a.safetensors", {"nonsense"}), HasSubstr("--keep nonsense: no weight"));
  ModelOptions from_file;
  from_file.transformer = quantised({});
  EXPECT_THAT(error(from_file, "int8.safetensors"), HasSubstr("exists; expected a new file"));
  EXPECT_THAT(error(from_file, "a.safetensors"), HasSubstr("is quantised already"));
  Tensors tensors = tensors_of("transformer");
  tensors.erase("layers.0.attention.to_q.weight");
  from_file.transformer = save("lacks.safetensors", tensors);
  EXPECT_THAT(error(from_file, "a.safetensors"), HasSubstr("to_q.weight is missing"));
  tensors = tensors_of("transformer");
  Tensor broken = ops::cast(tensors.at("layers.1.feed_forward.w1.weight"), Dtype::kF32).clone();
  broken.data<float>()[3] = NAN;
  tensors["layers.1.feed_forward.w1.weight"] = broken;
  from_file.transformer = save("nan.safetensors", tensors);
  EXPECT_THAT(error(from_file, "a.safetensors"),
              HasSubstr("row 0 of layers.1.feed_forward.w1.weight holds values that are not"));
  EXPECT_FALSE(fs::exists(dir_ / "a.safetensors"));
}

TEST_F(CheckpointTest, SaysWhatStaysInMoreBits) {
  const auto dtype_of = [&](const ModelOptions& model, const std::vector<std::string>& keep) {
    return Pipeline(snapshot().string(),
                    {.dtype = ComputeDtype::kInt8, .int8_keep = keep, .model = model})
        .compute_dtype();
  };
  EXPECT_EQ(dtype_of({}, {"layers.0", "w2"}), "int8 (bf16: layers.0 w2)");
  EXPECT_EQ(dtype_of({}, {"layers"}), "bf16");
  ModelOptions from_file;
  from_file.transformer = quantised({});
  EXPECT_THAT(error_of([&] { dtype_of(from_file, {"w1"}); }),
              HasSubstr("--int8-keep w1: the file has such weights in eight bits already"));
}

TEST_F(CheckpointTest, RefusesEightBitsThatItCannotTell) {
  const Tensors good = [&] {
    const SafetensorsFile file = SafetensorsFile::open(quantised({}));
    return file.tensors();
  }();
  const std::string w1 = "layers.0.feed_forward.w1.";
  const auto error = [&](const std::string& part, const Tensor& tensor) {
    Tensors tensors = good;
    tensors[w1 + part] = tensor;
    if (!tensor.defined()) tensors.erase(w1 + part);
    return error_of([&] { draw(save("bad.safetensors", tensors), base()); });
  };
  const auto text = [](std::string_view json) {
    Tensor bytes = empty({static_cast<std::int64_t>(json.size())}, Dtype::kU8);
    std::memcpy(bytes.raw(), json.data(), json.size());
    return bytes;
  };
  EXPECT_THAT(error("comfy_quant", {}), HasSubstr("without a comfy_quant tensor"));
  EXPECT_THAT(error("comfy_quant", text("{")), HasSubstr("comfy_quant of layers.0"));
  EXPECT_THAT(error("comfy_quant", text(R"({"format": "nvfp4"})")),
              HasSubstr("format is nvfp4, expected int8_tensorwise"));
  EXPECT_THAT(error("comfy_quant", text(R"({"format": "int8_tensorwise", "convrot": true,
                                            "convrot_groupsize": 3})")),
              HasSubstr("a convrot_groupsize of 3"));
  EXPECT_THAT(error("weight_scale", {}), HasSubstr("without a weight_scale"));
  EXPECT_THAT(error("weight_scale", zeros({3})), HasSubstr("expected one number or"));
  const std::int64_t rows = good.at(w1 + "weight").dim(0);
  EXPECT_THAT(error("weight_scale", zeros({1, rows})), HasSubstr("expected one number or"));
  EXPECT_THAT(error("weight_scale", from_values({1}, {NAN})),
              HasSubstr("expected a finite number"));
}

TEST_F(CheckpointTest, SaysWhatAFileIsInstead) {
  const std::string lora =
      save("lora.safetensors", {{"layers.0.attention.to_q.lora_A.weight", zeros({2, 2})}});
  EXPECT_THAT(error_of([&] { draw(lora, base()); }), HasSubstr("is a LoRA adapter; expected"));
  const std::string other = save("other.safetensors", {{"x", zeros({2, 2})}});
  EXPECT_THAT(error_of([&] { draw(other, base()); }), HasSubstr("is no Z-Image transformer"));
  const std::string vae = save("vae.safetensors", compvis_vae(""));
  EXPECT_THAT(error_of([&] {
                draw(snapshot(), {.weights_variant = "", .base_model = "", .transformer = vae});
              }),
              HasSubstr("holds no transformer; it holds vae"));
  EXPECT_THAT(error_of([&] { draw(snapshot(), base()); }), HasSubstr("configurations of its own"));
  EXPECT_THAT(error_of([&] { draw(vae, {.weights_variant = "", .base_model = vae}); }),
              HasSubstr("--base-model"));
}

TEST_F(CheckpointTest, MissingAndMisshapenTensorsAreNamed) {
  Tensors tensors = comfy_transformer("model.diffusion_model.");
  tensors.erase("model.diffusion_model.layers.1.attention.qkv.weight");
  EXPECT_THAT(error_of([&] { draw(save("a.safetensors", tensors), base()); }),
              HasSubstr("tensor layers.1.attention.to_q.weight"));
  tensors = comfy_transformer("");
  tensors["layers.1.attention.qkv.weight"] = zeros({7, 5});
  EXPECT_THAT(error_of([&] { draw(save("b.safetensors", tensors), base()); }),
              HasSubstr("expected a number of rows that 3 divides"));
  tensors = comfy_transformer("");
  tensors["second.cap_embedder.0.weight"] = zeros({2});
  EXPECT_THAT(error_of([&] { draw(save("c.safetensors", tensors), base()); }),
              HasSubstr("more than one transformer"));
}

TEST(Inspect, NamesWhatASnapshotLacks) {
  const TempDir dir;
  const fs::path root = dir / "model";
  fs::copy(snapshot(), root, fs::copy_options::recursive);
  EXPECT_THAT(inspect_model(root), HasSubstr("\"is_complete\": true"));
  Tensors vae = tensors_of("vae");
  vae.erase("decoder.conv_in.bias");
  vae["decoder.conv_out.bias"] = zeros({5});
  vae["decoder.extra"] = zeros({1});
  vae["decoder.conv_norm_out.bias"] =
      empty(vae.at("decoder.conv_norm_out.bias").shape(), Dtype::kI8);
  save_safetensors(root / "vae" / "diffusion_pytorch_model.safetensors", vae);
  const std::string report = inspect_model(root);
  EXPECT_THAT(report, HasSubstr("\"is_complete\": false"));
  for (const char* name : {"decoder.conv_in.bias", "decoder.conv_out.bias", "decoder.extra",
                           "decoder.conv_norm_out.bias"}) {
    EXPECT_THAT(report, HasSubstr(name));
  }
}

TEST(Pipeline, SwitchesBetweenModels) {
  Pipeline pipeline(snapshot().string(), {.dtype = ComputeDtype::kF32, .threads = 1});
  EXPECT_NE(error_of([&] { pipeline.use_model("/no/where"); }), "");
  EXPECT_EQ(pipeline.compute_dtype(), "f32");
  pipeline.use_model(snapshot().string(), {.dtype = ComputeDtype::kBf16});
  EXPECT_EQ(pipeline.compute_dtype(), "bf16");
}

}  // namespace
}  // namespace zimage
