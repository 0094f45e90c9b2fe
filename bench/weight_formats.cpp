#include "weight_formats.h"

#include "block_quantizer.h"
#include "core/check.h"
#include "ops/mlx.h"

namespace zimage::bench {
namespace {

using Mode = ops::MlxFormat::Mode;

constexpr ops::MlxFormat kMlx[] = {
    {Mode::kAffine, 8, 32}, {Mode::kAffine, 4, 64}, {Mode::kMxfp4, 4, 32}};

std::string short_name(const ops::MlxFormat& format) {
  if (format.mode == Mode::kMxfp4) return "MLX mxfp4";
  return str("MLX ", format.bits, "/", format.group_size);
}

}  // namespace

std::vector<WeightFormat> weight_formats() {
  std::vector<WeightFormat> formats;
  for (const ops::BlockFormat& format : ops::block_formats()) {
    formats.push_back({std::string(format.name), [&format](const Tensor& weight) {
                         return quantize_blocks(weight, format);
                       }});
  }
  for (const ops::MlxFormat& format : kMlx) {
    formats.push_back({short_name(format), [&format](const Tensor& weight) {
                         return ops::mlx_rows(ops::quantize_mlx(weight, format));
                       }});
  }
  return formats;
}

}  // namespace zimage::bench
