#include "vae/vae.h"

#include <gmock/gmock.h>

#include <cmath>

#include "core/allocator.h"
#include "seeded_weights.h"

namespace zimage {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Tensors = std::map<std::string, Tensor>;

const char* const kModels[] = {"narrow", "odd", "flat"};

struct Model : GoldenModel {
  explicit Model(const std::string& name)
      : GoldenModel("vae", name), config(VaeConfig::from_json(json.object("config"))) {}

  VaeDecoder decoder(const Tensors& tensors, Dtype compute = Dtype::kF32) const {
    return VaeDecoder(config, weight_map("vae", tensors), compute);
  }
  VaeEncoder encoder(const Tensors& tensors, Dtype compute = Dtype::kF32) const {
    return VaeEncoder(config, weight_map("vae", tensors), compute);
  }
  Tensor latents(std::int64_t height, std::int64_t width) const {
    return seeded_uniform("latents", {config.latent_channels, height, width}, 0, 1);
  }
  Tensor pixels(std::int64_t height, std::int64_t width) const {
    return seeded_uniform("pixels", {3, height * config.scale(), width * config.scale()}, 0, 1);
  }

  VaeConfig config;
};

// Calls check(title, height, width) for every size of the golden values, in latent pixels.
template <class Check>
void for_each_case(const Model& model, Check&& check) {
  for (const Json& test_case : model.json.objects("cases")) {
    const auto title = test_case.get<std::string>("name");
    SCOPED_TRACE(title);
    check(title, test_case.get<int>("height"), test_case.get<int>("width"));
  }
}

// Both sides sum in f32, in another order: some units of 6e-8 in each of up to 40 layers.
constexpr double kF32Error = 3e-6;

TEST(VaeDecoder, MatchesDiffusersInF32) {
  for (const char* name : kModels) {
    SCOPED_TRACE(name);
    const Model model(name);
    const VaeDecoder decoder = model.decoder(model.tensors());
    for_each_case(model, [&](const std::string& title, int height, int width) {
      const Tensor& expected = model.golden.at(title + ".decoded");
      const Tensor pixels = decoder(model.latents(height, width));
      EXPECT_EQ(pixels.shape(), expected.shape());
      EXPECT_EQ(pixels.dtype(), Dtype::kF32);
      EXPECT_LE(relative_error(pixels, expected), kF32Error);
    });
  }
}

TEST(VaeEncoder, MatchesDiffusersInF32) {
  for (const char* name : kModels) {
    SCOPED_TRACE(name);
    const Model model(name);
    const VaeEncoder encoder = model.encoder(model.tensors());
    for_each_case(model, [&](const std::string& title, int height, int width) {
      const Tensor pixels = model.pixels(height, width);
      const Tensor moments = encoder.moments(pixels), latents = mean_latents(model.config, moments);
      EXPECT_EQ(moments.shape(), model.golden.at(title + ".moments").shape());
      EXPECT_EQ(latents.shape(), model.golden.at(title + ".encoded").shape());
      EXPECT_LE(relative_error(moments, model.golden.at(title + ".moments")), kF32Error);
      EXPECT_LE(relative_error(latents, model.golden.at(title + ".encoded")), kF32Error);
    });
  }
}

// A resnet rounds five tensors to bf16, everything around the resnets a dozen, by 2^-9 rms each;
// roundings add up in quadrature, and layers may pass on up to twice the error of their input.
double bf16_error(int resnets) { return 2 * std::sqrt(5.0 * resnets + 12) / 512; }

TEST(VaeDecoder, StaysWithinRoundingOfF32InBf16) {
  for (const char* name : kModels) {
    SCOPED_TRACE(name);
    const Model model(name);
    const VaeDecoder decoder = model.decoder(model.tensors(), Dtype::kBf16);
    const int stages = static_cast<int>(model.config.block_out_channels.size());
    const int resnets = 2 + stages * (model.config.layers_per_block + 1);
    for_each_case(model, [&](const std::string& title, int height, int width) {
      const Tensor pixels = decoder(model.latents(height, width));
      EXPECT_EQ(pixels.dtype(), Dtype::kF32);
      EXPECT_LE(relative_error(pixels, model.golden.at(title + ".decoded")), bf16_error(resnets));
    });
  }
}

TEST(VaeEncoder, StaysWithinRoundingOfF32InBf16) {
  for (const char* name : kModels) {
    SCOPED_TRACE(name);
    const Model model(name);
    const VaeEncoder encoder = model.encoder(model.tensors(), Dtype::kBf16);
    const int stages = static_cast<int>(model.config.block_out_channels.size());
    const int resnets = 2 + stages * model.config.layers_per_block;
    for_each_case(model, [&](const std::string& title, int height, int width) {
      const Tensor moments = encoder.moments(model.pixels(height, width));
      EXPECT_LE(relative_error(moments, model.golden.at(title + ".moments")), bf16_error(resnets));
    });
  }
}

TEST(Vae, GivesTheSameBitsForAnyNumberOfThreads) {
  const Model model("narrow");
  for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
    const VaeDecoder decoder = model.decoder(model.tensors(), compute);
    const VaeEncoder encoder = model.encoder(model.tensors(), compute);
    std::vector<float> decoded, encoded;
    for (const int threads : {1, 2, 3}) {
      const ThreadCount scope(threads);
      const auto pixels = values_of(decoder(model.latents(9, 11)));
      const auto latents = values_of(encoder.moments(model.pixels(9, 11)));
      if (threads == 1) decoded = pixels, encoded = latents;
      EXPECT_EQ(pixels, decoded);
      EXPECT_EQ(latents, encoded);
    }
  }
}

TEST(Vae, ReadsWeightsOfAnyFloatDtypeAlike) {
  const Model model("odd");
  Tensors f32;
  for (const auto& [name, t] : model.tensors()) f32[name] = tensor_of(t.shape(), values_of(t));
  for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
    EXPECT_EQ(values_of(model.decoder(f32, compute)(model.latents(3, 2))),
              values_of(model.decoder(model.tensors(), compute)(model.latents(3, 2))));
  }
}

// What diffusers called the attention's layers before it had to_q, as Linear or 1x1 convolution.
Tensors with_old_attention(Tensors tensors, bool as_convolutions) {
  const std::pair<std::string, std::string> names[] = {
      {"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}, {"to_out.0", "proj_attn"}};
  for (const char* half : {"encoder", "decoder"}) {
    for (const auto& [name, old_name] : names) {
      const std::string scope = str(half, ".mid_block.attentions.0.");
      auto weight = tensors.extract(scope + name + ".weight");
      auto bias = tensors.extract(scope + name + ".bias");
      weight.key() = scope + old_name + ".weight";
      bias.key() = scope + old_name + ".bias";
      const std::int64_t channels = weight.mapped().dim(0);
      if (as_convolutions) weight.mapped() = weight.mapped().reshape({channels, channels, 1, 1});
      tensors.insert(std::move(weight));
      tensors.insert(std::move(bias));
    }
  }
  return tensors;
}

TEST(Vae, ReadsTheAttentionOfOldFiles) {
  const Model model("odd");
  const auto decoded = values_of(model.decoder(model.tensors())(model.latents(3, 4)));
  const auto encoded = values_of(model.encoder(model.tensors()).moments(model.pixels(3, 4)));
  for (const bool as_convolutions : {false, true}) {
    const Tensors old = with_old_attention(model.tensors(), as_convolutions);
    EXPECT_EQ(values_of(model.decoder(old)(model.latents(3, 4))), decoded);
    EXPECT_EQ(values_of(model.encoder(old).moments(model.pixels(3, 4))), encoded);
  }
}

TEST(Vae, EachHalfTakesOnlyItsOwnTensors) {
  const Model model("odd");
  Tensors decoder_only = model.tensors(), encoder_only = model.tensors();
  std::erase_if(decoder_only, [](const auto& entry) {
    return entry.first.starts_with("encoder.") || entry.first.starts_with("quant_conv.");
  });
  std::erase_if(encoder_only, [](const auto& entry) {
    return entry.first.starts_with("decoder.") || entry.first.starts_with("post_quant_conv.");
  });
  EXPECT_EQ(decoder_only.size() + encoder_only.size(), model.tensors().size());
  EXPECT_EQ(values_of(model.decoder(decoder_only)(model.latents(2, 3))),
            values_of(model.decoder(model.tensors())(model.latents(2, 3))));
  EXPECT_EQ(values_of(model.encoder(encoder_only).moments(model.pixels(2, 3))),
            values_of(model.encoder(model.tensors()).moments(model.pixels(2, 3))));
  EXPECT_EQ(error_of([&] { return model.decoder(encoder_only)(model.latents(2, 3)); }),
            "vae: tensor decoder.conv_in.weight [24, 5, 3, 3] is missing; the files hold " +
                str(encoder_only.size(), " tensors"));
}

TEST(Vae, NamesTheTensorThatIsMissingMisshapenOrUnknown) {
  const Model model("odd");
  for (const auto& [name, tensor] : model.tensors()) {
    Tensors missing = model.tensors();
    missing.erase(name);
    const auto load = [](const Model& m, const Tensors& tensors) {
      return error_of([&] {
        m.decoder(tensors);
        m.encoder(tensors);
        return 0;
      });
    };
    // Without the new name of an attention layer the old one is asked for.
    if (name.find("attentions") == std::string::npos) {
      EXPECT_THAT(load(model, missing), HasSubstr(name + " ["));
    } else {
      EXPECT_THAT(load(model, missing), HasSubstr("mid_block.attentions.0."));
    }
    Tensors misshapen = model.tensors();
    misshapen[name] = zeros({1, 2});
    EXPECT_THAT(load(model, misshapen), HasSubstr(name + " is [1, 2], expected ["));
  }
  Tensors surplus = model.tensors();
  surplus["decoder.up_blocks.2.resnets.0.conv1.weight"] = zeros({1});
  EXPECT_EQ(error_of([&] { return model.decoder(surplus)(model.latents(1, 1)); }),
            "vae: 1 tensor that this model does not have: "
            "decoder.up_blocks.2.resnets.0.conv1.weight");
}

TEST(VaeDecoder, RefusesLatentsThatDoNotFit) {
  const Model model("odd");
  const VaeDecoder decoder = model.decoder(model.tensors());
  const auto error = [&](const Tensor& latents) {
    return error_of([&] { return decoder(latents); });
  };
  const std::string expected = ", expected [5, height, width] F32";
  EXPECT_EQ(error(zeros({4, 2, 2})), "vae: latents are [4, 2, 2] F32" + expected);
  EXPECT_EQ(error(zeros({1, 5, 2, 2})), "vae: latents are [1, 5, 2, 2] F32" + expected);
  EXPECT_EQ(error(zeros({5, 0, 2})), "vae: latents are [5, 0, 2] F32" + expected);
  EXPECT_EQ(error(zeros({5, 2, 2}, Dtype::kBf16)), "vae: latents are [5, 2, 2] BF16" + expected);
}

TEST(VaeEncoder, RefusesPixelsThatDoNotFit) {
  const Model model("narrow");
  const VaeEncoder encoder = model.encoder(model.tensors());
  const auto error = [&](const Tensor& pixels) {
    return error_of([&] { return encoder.moments(pixels); });
  };
  const std::string expected = ", expected [3, height, width] F32 with multiples of 8";
  EXPECT_EQ(error(zeros({3, 8, 12})), "vae: pixels are [3, 8, 12] F32" + expected);
  EXPECT_EQ(error(zeros({4, 8, 8})), "vae: pixels are [4, 8, 8] F32" + expected);
  EXPECT_EQ(error(zeros({3, 0, 8})), "vae: pixels are [3, 0, 8] F32" + expected);
  EXPECT_EQ(error(zeros({8, 8})), "vae: pixels are [8, 8] F32" + expected);
  EXPECT_EQ(error(zeros({3, 8, 8}, Dtype::kBf16)), "vae: pixels are [3, 8, 8] BF16" + expected);
}

// The header's statement: input, normalised input and first convolution of the first resnet at
// full size; the picture's f32 values are less than that.
TEST(VaeDecoder, HoldsThreeTensorsOfFullSizeAtItsPeak) {
  const Model model("narrow");
  const auto& channels = model.config.block_out_channels;
  for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
    const VaeDecoder decoder = model.decoder(model.tensors(), compute);
    const Tensor latents = model.latents(40, 32);
    allocator::trim();
    allocator::reset_peak();
    const std::size_t before = allocator::peak_bytes();
    decoder(latents);
    const std::size_t pixels = 40 * 32 * 64;
    const std::size_t three = pixels * size_of(compute) * (2 * channels[1] + channels[0]);
    // Sizes are rounded up; convolutions hold a strip of windows and the columns of each thread.
    const std::size_t strip = std::size_t{12} << 20;
    EXPECT_LE(allocator::peak_bytes() - before, three * 9 / 8 + strip) << compute;
  }
}

TEST(VaeEncoder, HoldsThreeTensorsOfFullSizeAtItsPeak) {
  const Model model("narrow");
  for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
    const VaeEncoder encoder = model.encoder(model.tensors(), compute);
    const Tensor pixels = model.pixels(40, 32);
    allocator::trim();
    allocator::reset_peak();
    const std::size_t before = allocator::peak_bytes();
    encoder.moments(pixels);
    const std::size_t three = 3 * 40 * 32 * 64 * size_of(compute) *
                              static_cast<std::size_t>(model.config.block_out_channels[0]);
    // Sizes are rounded up; the pixels in NHWC are still in the cache; convolutions hold a strip of
    // windows and the columns of each thread.
    const std::size_t more = 3 * 40 * 32 * 64 * size_of(compute) + (std::size_t{12} << 20);
    EXPECT_LE(allocator::peak_bytes() - before, (three + more) * 9 / 8) << compute;
  }
}

VaeConfig config_with(const std::string& keys) {
  return VaeConfig::from_json(Json::parse(
      R"({"in_channels": 3, "out_channels": 3, "latent_channels": 16, "layers_per_block": 2,
          "norm_num_groups": 32, "block_out_channels": [128, 256, 512, 512], )" +
          keys + R"("act_fn": "silu"})",
      "vae/config.json"));
}

TEST(VaeConfig, ReadsZImagesFileAndHasTheDefaultsOfDiffusers) {
  const VaeConfig config = config_with(
      R"("scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": false,
         "use_post_quant_conv": false, "mid_block_add_attention": true, "force_upcast": true,
         "latents_mean": null, "sample_size": 1024, )");
  EXPECT_EQ(config.scale(), 8);
  EXPECT_EQ(config.scaling_factor, 0.3611f);
  EXPECT_EQ(config.shift_factor, 0.1159f);
  EXPECT_FALSE(config.use_quant_conv);
  EXPECT_FALSE(config.use_post_quant_conv);
  const VaeConfig old = config_with(R"("scaling_factor": 0.18215, "shift_factor": null, )");
  EXPECT_EQ(old.shift_factor, 0.0f);
  EXPECT_TRUE(old.use_quant_conv && old.use_post_quant_conv && old.mid_block_add_attention);
}

TEST(VaeConfig, NamesTheKeyOutOfRange) {
  const auto error = [](const std::string& text) {
    return error_of([&] { return VaeConfig::from_json(Json::parse(text, "vae/config.json")); });
  };
  const auto with = [](std::string_view key, const std::string& value) {
    std::string text = "{";
    for (const auto& [k, v] :
         std::map<std::string_view, std::string>{{"in_channels", "3"},
                                                 {"out_channels", "3"},
                                                 {"latent_channels", "16"},
                                                 {"layers_per_block", "2"},
                                                 {"norm_num_groups", "4"},
                                                 {"block_out_channels", "[8, 16]"},
                                                 {"scaling_factor", "0.5"},
                                                 {"shift_factor", "0.1"},
                                                 {"act_fn", "\"silu\""}}) {
      text += str('"', k, "\": ", k == key ? value : v, ", ");
    }
    return text + R"("down_block_types": ["DownEncoderBlock2D"]})";
  };
  EXPECT_EQ(error(with("", "")), "");
  for (const char* key : {"latent_channels", "layers_per_block", "norm_num_groups"}) {
    for (const char* value : {"0", "-1", "2000000000", "1.5", "\"a\"", "null"}) {
      EXPECT_THAT(error(with(key, value)), AllOf(HasSubstr("vae/config.json: "), HasSubstr(key)))
          << key << " = " << value;
    }
  }
  for (const char* value : {"0", "-0.5", "null", "1e60"}) {
    EXPECT_THAT(error(with("scaling_factor", value)), HasSubstr("scaling_factor")) << value;
  }
  EXPECT_THAT(error(with("shift_factor", "1e60")), HasSubstr("shift_factor"));
  EXPECT_THAT(error(with("block_out_channels", "[]")), HasSubstr("has 0 entries, expected 1 to 8"));
  EXPECT_THAT(error(with("block_out_channels", "[8,8,8,8,8,8,8,8,8]")), HasSubstr("has 9 entries"));
  EXPECT_THAT(error(with("block_out_channels", "[8, 18]")),
              HasSubstr("has 18, expected multiples of norm_num_groups 4"));
  EXPECT_THAT(error(with("block_out_channels", "[8, 0]")), HasSubstr("has 0, expected multiples"));
  EXPECT_THAT(error(with("in_channels", "4")), HasSubstr("expected 3 (RGB)"));
  EXPECT_THAT(error(with("out_channels", "1")), HasSubstr("expected 3 (RGB)"));
  EXPECT_THAT(error(with("act_fn", "\"gelu\"")), HasSubstr("act_fn is gelu, expected silu"));
  EXPECT_THAT(error(R"({"down_block_types": ["AttnDownEncoderBlock2D"], "in_channels": 3,
      "out_channels": 3, "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 1,
      "block_out_channels": [8], "scaling_factor": 1})"),
              HasSubstr("has AttnDownEncoderBlock2D, expected DownEncoderBlock2D"));
}

}  // namespace
}  // namespace zimage
