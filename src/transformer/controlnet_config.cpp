#include <algorithm>
#include <charconv>
#include <numeric>
#include <set>

#include "core/check.h"
#include "layers/config.h"
#include "ops/elementwise.h"
#include "transformer/controlnet.h"

namespace zimage {
namespace {

using Refiner = ControlNetConfig::Refiner;

bool is_zero(const Tensor& matrix) {
  for (std::int64_t row = 0; row < matrix.dim(0); ++row) {
    const Tensor values = ops::cast(matrix.slice(row, row + 1), Dtype::kF32);
    const float* begin = values.data<float>();
    if (std::any_of(begin, begin + values.numel(), [](float x) { return x != 0; })) return false;
  }
  return true;
}

// 2.0 and 2.1 files have the same names in them, but 2.0 was trained without its refiner blocks, so
// that their projection is the zero it began with. This is how diffusers tells them apart.
Refiner find_refiner(const WeightMap& weights, const std::vector<std::string>& names) {
  constexpr std::string_view kPrefix = "control_noise_refiner.";
  bool is_present = false, has_projections = false;
  for (const std::string& name : names) {
    if (!name.starts_with(kPrefix)) continue;
    is_present = true;
    has_projections = has_projections || name.find("_proj.") != std::string::npos;
  }
  if (!is_present) return Refiner::kControlLayers;
  if (!has_projections) return Refiner::kPlain;
  const std::string kName = "control_noise_refiner.0.before_proj.weight";
  const Shape* shape = weights.shape_of(kName);
  if (shape == nullptr || shape->rank() != 2) return Refiner::kOwn;
  const bool is_trained = !is_zero(WeightScope(weights, Dtype::kF32).stored(kName, *shape));
  return is_trained ? Refiner::kOwn : Refiner::kControlLayers;
}

int find_in_channels(const WeightMap& weights, const TransformerConfig& transformer) {
  const std::string kName = "control_all_x_embedder.2-1.weight";
  const Shape* found = weights.shape_of(kName);
  check(found != nullptr, weights.where(), ": tensor ", kName,
        " is missing, expected the weights of a ControlNet for Z-Image");
  const int patch_area = transformer.patch_size * transformer.patch_size;
  const Shape& shape = *found;
  check(shape.rank() == 2 && shape[0] == transformer.dim && shape[1] % patch_area == 0 &&
            0 < shape[1] && shape[1] <= kMaxSize,
        weights.where(), ": ", kName, " is ", shape, ", expected [", transformer.dim,
        ", channels * ", patch_area, "] for this transformer");
  return static_cast<int>(shape[1] / patch_area);
}

std::vector<int> spread_evenly(int count, int n_layers, const std::string& where) {
  check(count > 0, where, ": no tensors of control_layers, expected at least those of one");
  check(count <= n_layers && n_layers % count == 0, where, ": ", count,
        " control layers, expected a divisor of the transformer's ", n_layers,
        " layers or a config.json with control_layers_places");
  std::vector<int> places;
  for (int i = 0; i < count; ++i) places.push_back(i * (n_layers / count));
  return places;
}

std::vector<int> first_places(Refiner refiner, const TransformerConfig& transformer) {
  if (refiner == Refiner::kPlain) return {};
  std::vector<int> places(static_cast<std::size_t>(transformer.n_refiner_layers));
  std::iota(places.begin(), places.end(), 0);
  return places;
}

// Ascending numbers below `end`.
std::vector<int> get_places(const Json& json, std::string_view key, int end) {
  const auto places = json.get<std::vector<int>>(key);
  int least = 0;
  for (const int place : places) {
    check(least <= place && place < end, json.where(), ": ", key, " has ", place,
          ", expected ascending numbers from 0 to ", end - 1);
    least = place + 1;
  }
  return places;
}

Refiner get_refiner(const Json& json) {
  constexpr std::string_view kKey = "add_control_noise_refiner";
  if (!json.has(kKey)) return Refiner::kPlain;
  const auto kind = json.get<std::string>(kKey);
  if (kind == "control_layers") return Refiner::kControlLayers;
  check(kind == "control_noise_refiner", json.where(), ": ", kKey, " is \"", kind,
        "\", expected null, \"control_layers\" or \"control_noise_refiner\"");
  return Refiner::kOwn;
}

template <class T>
void check_shared(const Json& json, std::string_view key, T expected) {
  const T value = json.get_or(key, expected);
  check(value == expected, json.where(), ": ", key, " is ", value, ", expected the transformer's ",
        expected);
}

// Every place needs a block that makes its hint.
void check_hints(const ControlNetConfig& config, const TransformerConfig& transformer,
                 const std::string& where) {
  const auto hints = config.refiner_places.size(), layers = config.layer_places.size();
  check(config.refiner != Refiner::kControlLayers || hints <= layers, where, ": ", layers,
        " control layers, expected one for each of the ", hints, " hints of the noise refiner");
  check(config.refiner != Refiner::kOwn || transformer.n_refiner_layers > 0, where,
        ": control blocks for the noise refiner, but the transformer's n_refiner_layers is 0");
}

}  // namespace

int count_blocks(const std::vector<std::string>& names, std::string_view prefix) {
  std::set<int> indices;
  for (const std::string& name : names) {
    if (!name.starts_with(prefix)) continue;
    const char* end = name.data() + name.size();
    int index = 0;
    const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, index);
    if (error == std::errc() && stop != end && *stop == '.') indices.insert(index);
  }
  return static_cast<int>(indices.size());
}

ControlNetConfig ControlNetConfig::from_weights(const WeightMap& weights,
                                                const TransformerConfig& transformer) {
  const int in_channels = find_in_channels(weights, transformer);
  const std::vector<std::string> names = weights.names();
  const Refiner refiner = find_refiner(weights, names);
  const int layers = count_blocks(names, "control_layers.");
  const ControlNetConfig config{
      .in_channels = in_channels,
      .layer_places = spread_evenly(layers, transformer.n_layers, weights.where()),
      .refiner_places = first_places(refiner, transformer),
      .refiner = refiner};
  check_hints(config, transformer, weights.where());
  return config;
}

ControlNetConfig ControlNetConfig::from_json(const Json& json,
                                             const TransformerConfig& transformer) {
  check_shared(json, "dim", transformer.dim);
  check_shared(json, "n_heads", transformer.n_heads);
  check_shared(json, "n_kv_heads", transformer.n_kv_heads);
  check_shared(json, "n_refiner_layers", transformer.n_refiner_layers);
  check_shared(json, "norm_eps", transformer.norm_eps);
  check_shared(json, "qk_norm", transformer.qk_norm);
  const Refiner refiner = get_refiner(json);
  const ControlNetConfig config{
      .in_channels = get_size(json, "control_in_dim"),
      .layer_places = get_places(json, "control_layers_places", transformer.n_layers),
      .refiner_places =
          refiner == Refiner::kPlain
              ? std::vector<int>()
              : get_places(json, "control_refiner_layers_places", transformer.n_refiner_layers),
      .refiner = refiner};
  check(!config.layer_places.empty(), json.where(),
        ": control_layers_places is empty, expected at least 0");
  // diffusers gives the way in, before_proj, to the block of layer 0.
  check(config.layer_places[0] == 0, json.where(), ": control_layers_places begins with ",
        config.layer_places[0], ", expected 0");
  check_hints(config, transformer, json.where());
  return config;
}

}  // namespace zimage
