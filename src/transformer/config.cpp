#include "layers/config.h"

#include <cmath>

#include "core/check.h"
#include "transformer/transformer.h"

namespace zimage {
namespace {

// The one patch layout that Z-Image has; a checkpoint could list several.
int only_value(const Json& json, std::string_view key, int supported) {
  const auto values = json.get_or(key, std::vector<int>{supported});
  check(values.size() == 1 && values[0] == supported, json.where(), ": ", key,
        " is not supported, expected [", supported, "]");
  return supported;
}

void check_axes(const TransformerConfig& config, const Json& json) {
  int channels = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const int dim = config.axes_dims[axis], len = config.axes_lens[axis];
    check(0 < dim && dim <= kMaxSize && dim % 2 == 0, json.where(), ": axes_dims has ", dim,
          ", expected even numbers above 0");
    check(0 < len && len <= kMaxSize, json.where(), ": axes_lens has ", len, ", expected 1 to ",
          kMaxSize);
    channels += dim;
  }
  check(channels == config.head_dim(), json.where(), ": axes_dims sum to ", channels,
        ", expected dim / n_heads = ", config.head_dim());
}

}  // namespace

TransformerConfig TransformerConfig::from_json(const Json& json) {
  const TransformerConfig config{
      .in_channels = get_size(json, "in_channels"),
      .dim = get_size(json, "dim"),
      .n_layers = get_size(json, "n_layers", 1, kMaxLayers),
      .n_refiner_layers = get_size(json, "n_refiner_layers", 0, kMaxLayers),
      .n_heads = get_size(json, "n_heads"),
      .n_kv_heads = get_size(json, "n_kv_heads"),
      .cap_feat_dim = get_size(json, "cap_feat_dim"),
      .patch_size = only_value(json, "all_patch_size", 2),
      .f_patch_size = only_value(json, "all_f_patch_size", 1),
      .norm_eps = get_positive(json, "norm_eps"),
      .rope_theta = get_positive(json, "rope_theta"),
      .t_scale = get_positive(json, "t_scale"),
      .qk_norm = json.get<bool>("qk_norm"),
      .axes_dims = json.get<std::array<int, 3>>("axes_dims"),
      .axes_lens = json.get<std::array<int, 3>>("axes_lens"),
  };
  check(config.dim % config.n_heads == 0, json.where(), ": dim ", config.dim,
        " is not a multiple of n_heads ", config.n_heads);
  // diffusers reads n_kv_heads and then gives every query head its own keys.
  check(config.n_kv_heads == config.n_heads, json.where(), ": n_kv_heads is ", config.n_kv_heads,
        ", expected n_heads = ", config.n_heads);
  check(!json.has("siglip_feat_dim"), json.where(),
        ": siglip_feat_dim is set: image-conditioned (omni) checkpoints are not supported");
  check_axes(config, json);
  return config;
}

}  // namespace zimage
