#include "cpu/conv2d.h"

#include <algorithm>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/kernels/cast.h"
#include "cpu/linear.h"
#include "cpu/onednn.h"

namespace zimage::cpu {
namespace {

// A strip has few enough pixels to leave many threads their share, also of a small picture, and
// enough to be worth the reading of all weights.
constexpr std::int64_t kStripPixels = 1024;
constexpr std::int64_t kMinStrips = 8;

// Output rows [begin, end) as a convolution of its own; rows of x from x_begin.
struct Strip {
  std::int64_t begin = 0, x_begin = 0;
  ConvShape shape;
};

Strip strip_of(const ConvShape& whole, std::int64_t begin, std::int64_t end) {
  const std::int64_t first = begin * whole.stride - whole.pad_top;
  const std::int64_t last = (end - 1) * whole.stride - whole.pad_top + whole.kernel_height;
  Strip strip{.begin = begin, .x_begin = std::max<std::int64_t>(first, 0), .shape = whole};
  strip.shape.pad_top = strip.x_begin - first;
  strip.shape.pad_bottom = std::max<std::int64_t>(last - whole.height, 0);
  strip.shape.height = last - strip.shape.pad_bottom - strip.x_begin;
  strip.shape.out_height = end - begin;
  return strip;
}

std::vector<Strip> strips_of(const ConvShape& whole) {
  const std::int64_t rows = std::max<std::int64_t>(
      std::min(kStripPixels / whole.out_width, whole.out_height / kMinStrips), 1);
  std::vector<Strip> strips;
  for (std::int64_t row = 0; row < whole.out_height; row += rows) {
    strips.push_back(strip_of(whole, row, std::min(row + rows, whole.out_height)));
  }
  return strips;
}

// The convolutions of the strips, mostly one and the same, with their weights.
class StripConvolutions {
 public:
  StripConvolutions(const std::vector<Strip>& strips, const void* weight, Dtype dtype,
                    bool has_bias) {
    for (const Strip& strip : strips) {
      if (find(strip.shape) != nullptr) continue;
      Entry entry{strip.shape, onednn::Convolution(strip.shape, dtype, has_bias), nullptr};
      for (const Entry& other : entries_) {
        if (entry.convolution.can_use(*other.weight)) entry.weight = other.weight;
      }
      if (entry.weight == nullptr) entry.weight = entry.convolution.pack(weight);
      entries_.push_back(std::move(entry));
    }
  }

  void run(const ConvShape& shape, const void* x, const float* bias, void* y) const {
    const Entry* entry = find(shape);
    entry->convolution(x, *entry->weight, bias, y);
  }

 private:
  struct Entry {
    ConvShape shape;
    onednn::Convolution convolution;
    std::shared_ptr<const onednn::PackedWeight> weight;
  };

  const Entry* find(const ConvShape& shape) const {
    const auto it = std::find_if(entries_.begin(), entries_.end(),
                                 [&](const Entry& entry) { return entry.shape == shape; });
    return it == entries_.end() ? nullptr : &*it;
  }

  std::vector<Entry> entries_;
};

void convolve(const ConvShape& shape, const Tensor& x, const Tensor& weight, const float* bias,
              Tensor& y) {
  const std::vector<Strip> strips = strips_of(shape);
  const StripConvolutions convolutions(strips, weight.raw(), x.dtype(), bias != nullptr);
  const std::int64_t size = static_cast<std::int64_t>(size_of(x.dtype()));
  parallel_for(static_cast<std::int64_t>(strips.size()), [&](std::int64_t i) {
    const Strip& strip = strips[i];
    convolutions.run(strip.shape, x.raw() + strip.x_begin * shape.width * shape.in * size, bias,
                     y.raw() + strip.begin * shape.out_width * shape.out * size);
  });
}

void convolve_expanded(const ConvShape& shape, const Tensor& x, const Tensor& weight,
                       const float* bias, Tensor& y) {
  const std::vector<Strip> strips = strips_of(shape);
  Tensor weight_f32 = empty(weight.shape());
  parallel_blocks(weight.numel(), kBlockElements, [&](std::int64_t begin, std::int64_t end) {
    cast_kernels().cast(weight.data<bf16>() + begin, Dtype::kBf16, weight_f32.data<float>() + begin,
                        Dtype::kF32, end - begin);
  });
  const StripConvolutions convolutions(strips, weight_f32.raw(), Dtype::kF32, bias != nullptr);
  weight_f32 = {};

  parallel_for(static_cast<std::int64_t>(strips.size()), [&](std::int64_t i) {
    const Strip& strip = strips[i];
    Tensor strip_x = empty({strip.shape.height, shape.width, shape.in});
    Tensor strip_y = empty({strip.shape.out_height, shape.out_width, shape.out});
    cast_kernels().cast(x.data<bf16>() + strip.x_begin * shape.width * shape.in, Dtype::kBf16,
                        strip_x.raw(), Dtype::kF32, strip_x.numel());
    convolutions.run(strip.shape, strip_x.raw(), bias, strip_y.raw());
    cast_kernels().cast(strip_y.raw(), Dtype::kF32,
                        y.data<bf16>() + strip.begin * shape.out_width * shape.out, Dtype::kBf16,
                        strip_y.numel());
  });
}

bool is_linear(const ConvShape& shape) {
  return shape.kernel_height == 1 && shape.kernel_width == 1 && shape.stride == 1;
}

}  // namespace

void conv2d(const ConvShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias,
            Tensor& y, Bf16Path path) {
  if (is_linear(shape)) {
    Tensor pixels = y.reshape({shape.height * shape.width, shape.out});
    linear(x.reshape({shape.height * shape.width, shape.in}), weight.reshape({shape.out, shape.in}),
           bias, pixels, path);
    return;
  }
  const float* bias_data = bias.defined() ? bias.data<float>() : nullptr;
  if (x.dtype() == Dtype::kBf16 && path == Bf16Path::kExpand) {
    convolve_expanded(shape, x, weight, bias_data, y);
  } else {
    convolve(shape, x, weight, bias_data, y);
  }
}

}  // namespace zimage::cpu
