#include <random>

#include "core/check.h"
#include "layers/weight_matrix.h"
#include "measure.h"
#include "ops/attention.h"
#include "ops/conv2d.h"
#include "ops/elementwise.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "ops/upsample_conv2d.h"

namespace zimage::bench {
namespace {

constexpr std::int64_t kDim = 3840, kFfn = 10240, kHeads = 30, kHeadDim = 128;

Tensor random(const Shape& shape, Dtype dtype) {
  std::mt19937 engine(static_cast<unsigned>(shape.numel()));
  std::uniform_real_distribution<float> uniform(-1, 1);
  Tensor x = empty(shape);
  // A short period is enough: no operation is faster for it.
  std::vector<float> period(4093);
  for (float& value : period) value = uniform(engine);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = period[i % 4093];
  return ops::cast(x, dtype);
}

void time_linear(std::string_view name, std::int64_t tokens, std::int64_t in, std::int64_t out,
                 Compute compute, const AddRow& add) {
  const Tensor x = random({tokens, in}, Dtype::kBf16), dense = random({out, in}, Dtype::kBf16);
  const WeightMatrix weight = compute.is_int8
                                  ? WeightMatrix(ops::quantize_int8(dense, ops::int8_rotation(in)))
                                  : WeightMatrix(dense);
  const double seconds = fastest([&] { (void)weight.product(x, {}, Dtype::kBf16); });
  add({str("linear ", name, " [", tokens, ", ", in, "] x [", out, ", ", in, "]"), seconds,
       2.0 * static_cast<double>(tokens * in * out), compute.products()});
}

void time_attention(std::int64_t tokens, Limit limit, const AddRow& add) {
  const Shape shape{tokens, kHeads, kHeadDim};
  const Tensor q = random(shape, Dtype::kBf16), k = random(shape, Dtype::kBf16);
  const Tensor v = random(shape, Dtype::kBf16);
  const double seconds = fastest([&] { (void)ops::attention(q, k, v, 0.088f); });
  add({str("attention ", tokens, " tokens, ", kHeads, " heads of ", kHeadDim), seconds,
       4.0 * static_cast<double>(tokens * tokens * kHeads * kHeadDim), limit});
}

// Bytes read and written.
void time_rest(std::int64_t tokens, const AddRow& add) {
  const auto elements = static_cast<double>(tokens * kDim);
  const Tensor x = random({tokens, kDim}, Dtype::kF32), y = random({tokens, kDim}, Dtype::kF32);
  const Tensor row = random({kDim}, Dtype::kF32);
  add({str("rms_norm f32 to bf16, ", tokens, " tokens"),
       fastest([&] { (void)ops::rms_norm(x, row, 1e-5f, Dtype::kBf16, row); }), 6 * elements,
       Limit::kMemory});
  add({str("add_gated, ", tokens, " tokens"), fastest([&] { (void)ops::add_gated(x, y, row); }),
       12 * elements, Limit::kMemory});
  const Tensor heads = random({tokens, kHeads, kHeadDim}, Dtype::kBf16);
  const Tensor head = random({kHeadDim}, Dtype::kF32);
  const ops::RopeTable table{random({tokens, kHeadDim / 2}, Dtype::kF32),
                             random({tokens, kHeadDim / 2}, Dtype::kF32)};
  add({str("rms_norm_rope, ", tokens, " tokens"), fastest([&] {
         (void)ops::rms_norm_rope(heads, head, 1e-5f, table, ops::RopePairs::kInterleaved);
       }),
       4 * elements, Limit::kMemory});
  const Tensor gate = random({tokens, kFfn}, Dtype::kBf16),
               up = random({tokens, kFfn}, Dtype::kBf16);
  add({str("silu_mul, ", tokens, " tokens"), fastest([&] { (void)ops::silu_mul(gate, up); }),
       6.0 * static_cast<double>(tokens * kFfn), Limit::kMemory});
}

// A 3x3 convolution that keeps the size, and the norm before it.
void time_conv(std::int64_t size, std::int64_t in, std::int64_t out, Limit limit,
               const AddRow& add) {
  const Tensor x = random({size, size, in}, Dtype::kBf16);
  const Tensor weight = random({out, 3, 3, in}, Dtype::kBf16);
  const ops::Conv2dOptions same{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  const double pixels = static_cast<double>(size) * static_cast<double>(size);
  const std::string at = str(size, "x", size, ", ", in);
  add({str("conv2d ", at, " to ", out), fastest([&] { (void)ops::conv2d(x, weight, {}, same); }),
       2 * pixels * 9 * static_cast<double>(in * out), limit});
  const Tensor channel = random({in}, Dtype::kF32);
  add({str("group_norm ", at),
       fastest([&] { (void)ops::group_norm(x, 32, channel, channel, 1e-6f, true); }),
       4 * pixels * static_cast<double>(in), Limit::kMemory});
}

void time_upsample(std::int64_t size, std::int64_t channels, Limit limit, const AddRow& add) {
  const Tensor x = random({size, size, channels}, Dtype::kBf16);
  const Tensor weight = random({4, channels, 2, 2, channels}, Dtype::kBf16);
  const double pixels = static_cast<double>(size) * static_cast<double>(size);
  add({str("upsample_conv2d ", size, "x", size, ", ", channels),
       fastest([&] { (void)ops::upsample_conv2d(x, weight, {}); }),
       2 * 4 * pixels * 4 * static_cast<double>(channels * channels), limit});
}

}  // namespace

void time_convolutions(int size, Limit limit, const AddRow& add) {
  time_conv(size / 8, 512, 512, limit, add);
  time_upsample(size / 8, 512, limit, add);
  time_conv(size / 2, 256, 256, limit, add);
  time_upsample(size / 2, 256, limit, add);
  time_conv(size, 128, 128, limit, add);
}

void time_operations(std::int64_t tokens, Compute compute, const AddRow& add) {
  time_linear("q, k, v, out", tokens, kDim, kDim, compute, add);
  time_linear("w1, w3", tokens, kDim, kFfn, compute, add);
  time_linear("w2", tokens, kFfn, kDim, compute, add);
  time_attention(tokens, compute.limit, add);
  time_rest(tokens, add);
}

}  // namespace zimage::bench
