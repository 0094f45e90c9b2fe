#include "layers/config.h"

#include "core/check.h"
#include "vae/vae.h"

namespace zimage {
namespace {

constexpr int kMaxStages = 8;  // 128 pixels per latent pixel

void check_block_types(const Json& json, std::string_view key, std::string_view supported) {
  for (const std::string& type : json.get_or(key, std::vector<std::string>{})) {
    check(type == supported, json.where(), ": ", key, " has ", type, ", expected ", supported);
  }
}

}  // namespace

VaeConfig VaeConfig::from_json(const Json& json) {
  const VaeConfig config{
      .in_channels = get_size(json, "in_channels"),
      .out_channels = get_size(json, "out_channels"),
      .latent_channels = get_size(json, "latent_channels"),
      .layers_per_block = get_size(json, "layers_per_block", 1, kMaxLayers),
      .norm_num_groups = get_size(json, "norm_num_groups"),
      .block_out_channels = json.get<std::vector<int>>("block_out_channels"),
      .scaling_factor = get_positive(json, "scaling_factor"),
      .shift_factor = json.get_or("shift_factor", 0.0f),
      .mid_block_add_attention = json.get_or("mid_block_add_attention", true),
      .use_quant_conv = json.get_or("use_quant_conv", true),
      .use_post_quant_conv = json.get_or("use_post_quant_conv", true),
  };
  const auto stages = config.block_out_channels.size();
  check(stages >= 1 && stages <= kMaxStages, json.where(), ": block_out_channels has ", stages,
        " entries, expected 1 to ", kMaxStages);
  for (const int channels : config.block_out_channels) {
    check(0 < channels && channels <= kMaxSize && channels % config.norm_num_groups == 0,
          json.where(), ": block_out_channels has ", channels,
          ", expected multiples of norm_num_groups ", config.norm_num_groups);
  }
  check(config.in_channels == 3 && config.out_channels == 3, json.where(), ": in_channels ",
        config.in_channels, " and out_channels ", config.out_channels, ", expected 3 (RGB)");
  const auto activation = json.get_or<std::string>("act_fn", "silu");
  check(activation == "silu", json.where(), ": act_fn is ", activation, ", expected silu");
  check_block_types(json, "down_block_types", "DownEncoderBlock2D");
  check_block_types(json, "up_block_types", "UpDecoderBlock2D");
  return config;
}

}  // namespace zimage
