// Products of weights in the formats of GGUF files and of MLX, beside the same in bf16.
#include <cstdio>

#include "core/check.h"
#include "measure.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "pairs.h"
#include "weight_formats.h"

namespace zimage::bench {
namespace {

void time_shape(std::int64_t tokens, std::int64_t in, std::int64_t out, Limit limit,
                const AddRow& add) {
  const Tensor x = ops::cast(normal({tokens, in}, 1), Dtype::kBf16);
  const Tensor weight = normal({out, in}, 2), dense = ops::cast(weight, Dtype::kBf16);
  const double work = 2.0 * static_cast<double>(tokens * in * out);
  for (const WeightFormat& format : weight_formats()) {
    const auto rows = format.quantize(weight);
    const Pair time = fastest_of([&] { (void)ops::linear(x, *rows, {}, Dtype::kBf16); },
                                 [&] { (void)ops::linear(x, dense, {}, Dtype::kBf16); });
    char percent[16];
    std::snprintf(percent, sizeof percent, "%.0f %%", 100 * time.second / time.first);
    add({str(format.name, " [", tokens, ", ", in, "] x [", out, ", ", in, "]: ", percent,
             " of bf16's rate"),
         time.first, work, limit});
  }
}

}  // namespace

void time_formats(std::int64_t tokens, Limit limit, const AddRow& add) {
  for (const auto& [in, out] : kBlockProducts) time_shape(tokens, in, out, limit, add);
}

}  // namespace zimage::bench
