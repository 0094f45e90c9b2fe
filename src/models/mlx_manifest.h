#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "ops/mlx.h"

namespace zimage {

inline constexpr std::string_view kMlxManifest = "quantization.json";
inline constexpr std::string_view kMlxControlManifest = "controlnet_quantization.json";

// What lies beside weights in MLX's formats and tells the format of each.
class MlxManifest {
 public:
  // group_size, bits, mode ("affine" where it is not given), and layers with what differs there.
  // Throws Error naming the key.
  static MlxManifest from_json(const Json& json);
  // The manifest of that name in one of the folders, the first that has one.
  static std::optional<MlxManifest> find(const std::vector<std::filesystem::path>& folders,
                                         std::string_view name);

  const std::string& where() const { return where_; }

  struct Layer {
    ops::MlxFormat format;
    std::int64_t in_dim = 0, out_dim = 0;  // 0: not told
  };
  // Of a component's tensor "NAME.weight" by that name or "NAME", with or without the component in
  // front; the defaults for one that is not listed.
  Layer layer(std::string_view component, std::string_view tensor) const;

 private:
  std::string where_;
  ops::MlxFormat format_;
  std::map<std::string, Layer, std::less<>> layers_;
};

}  // namespace zimage
