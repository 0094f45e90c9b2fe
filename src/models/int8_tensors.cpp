#include "models/int8_tensors.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "io/json.h"
#include "io/printable.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

constexpr std::string_view kFormat = "int8_tensorwise";
constexpr int kDefaultGroup = 256;  // of convrot, where the marker does not tell

// One factor for each row.
Tensor row_scales(const StoredInt8& s) {
  const std::int64_t rows = s.values.dim(0);
  const Tensor given = ops::cast(s.scale, Dtype::kF32);
  const bool is_per_row = given.shape() == Shape{rows} || given.shape() == Shape{rows, 1};
  check(given.numel() == 1 || is_per_row, s.where, ": the scale of ", printable(s.name), " is ",
        given.shape(), ", expected one number or ", rows);
  Tensor scales = empty({rows});
  for (std::int64_t i = 0; i < rows; ++i) {
    const float scale = given.data<float>()[given.numel() == 1 ? 0 : i];
    check(std::isfinite(scale), s.where, ": the scale of row ", i, " of ", printable(s.name),
          " is ", scale, ", expected a finite number");
    scales.data<float>()[i] = scale;
  }
  return scales;
}

// Some writers tell the shape before they padded it to whole blocks.
void check_original_shape(const Json& json, const Shape& shape) {
  constexpr std::string_view kKey = "orig_shape";
  if (!json.has(kKey)) return;
  const auto original = json.get<std::vector<std::int64_t>>(kKey);
  check(static_cast<int>(original.size()) == shape.rank(), json.where(), ": ", kKey, " has ",
        original.size(), " axes beside a tensor ", shape, "; expected the same shape");
  for (int i = 0; i < shape.rank(); ++i) {
    const std::int64_t size = original[static_cast<std::size_t>(i)];
    check(size == shape[i], json.where(), ": ", kKey, " has ", size, " for axis ", i,
          " of a tensor ", shape,
          "; weights that were padded are not supported, expected the same");
  }
}

int rotation_of(const StoredInt8& s) {
  check(s.marker.defined() && s.marker.dtype() == Dtype::kU8, s.where, ": ", printable(s.name),
        " is I8 without a comfy_quant tensor beside it that tells the format; expected ", kFormat);
  const auto* const text = reinterpret_cast<const char*>(s.marker.raw());
  const Json json = Json::parse({text, static_cast<std::size_t>(s.marker.numel())},
                                str(s.where, ": comfy_quant of ", printable(s.name)));
  const auto format = json.get<std::string>("format");
  check(format == kFormat, json.where(), ": format is ", printable(format), ", expected ", kFormat);
  check_original_shape(json, s.values.shape());
  // Under "params", too, as ComfyUI looks there for what it does not find at the top.
  const auto value = [&](std::string_view key, auto otherwise) {
    if (json.has(key) || !json.has("params")) return json.get_or(key, otherwise);
    return json.object("params").get_or(key, otherwise);
  };
  return value("convrot", false) ? value("convrot_groupsize", kDefaultGroup) : 1;
}

}  // namespace

ops::Int8Matrix int8_matrix(const StoredInt8& s) {
  check(s.values.rank() == 2 && s.values.numel() > 0, s.where, ": ", printable(s.name), " is ",
        s.values.shape(), " I8, expected [out, in]");
  check(s.scale.defined(), s.where, ": ", printable(s.name), " is I8 without a weight_scale");
  ops::Int8Matrix matrix{s.values, row_scales(s), rotation_of(s)};
  const std::int64_t in = s.values.dim(1);
  check(ops::is_int8_rotation(matrix.rotation, in), s.where, ": ", printable(s.name),
        ": a convrot_groupsize of ", matrix.rotation, ", expected a power of 4 that divides the ",
        in, " channels, themselves a multiple of 4");
  return matrix;
}

}  // namespace zimage
