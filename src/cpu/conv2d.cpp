#include "cpu/conv2d.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "cpu/pieces.h"
#include "cpu/weighted_sum.h"

namespace zimage::cpu {
namespace {

// Pixels of the result whose part of x is held at a time, if that is a row.
constexpr std::int64_t kStripPixels = 8192;
// Pixels of a task: few enough for many threads, unless they would wait for the packing of weights
// longer than for the product; and as many as share the L2 cache with the packed weights.
constexpr std::int64_t kMinTaskPixels = 192, kMaxTaskPixels = 2304;
// Words packed at a time: with a block's columns 320 KiB, for the L2 cache.
constexpr std::int64_t kChunkWords = 1280;
constexpr std::int64_t kBlockColumns = kMaxStoredColumns;

// Rows of x lie as words with the zeros around them. What the kernel covers of a row at an output
// pixel is one piece of that, and the next pixel's overlaps it: products read them in place, one
// for every row of the kernel.
class Convolution {
 public:
  Convolution(const ConvShape& shape, const Tensor& x, const WeightedSum& sum)
      : s_(shape),
        x_(x),
        sum_(sum),
        pixel_words_(shape.in / sum.per_word),
        padded_width_((shape.out_width - 1) * shape.stride + shape.kernel_width),
        line_words_(shape.kernel_width * pixel_words_) {}

  void run() const {
    const std::int64_t held_rows = kConvStripWords / (padded_width_ * pixel_words_);
    const std::int64_t longest =
        std::min((held_rows - s_.kernel_height) / s_.stride + 1, kStripPixels / s_.out_width);
    const std::int64_t length = piece_of(s_.out_height, std::max<std::int64_t>(longest, 1), 1);
    for (std::int64_t row = 0; row < s_.out_height; row += length) {
      run_strip({row, std::min(row + length, s_.out_height)});
    }
  }

 private:
  // Output rows.
  void run_strip(Range strip) const {
    const Tensor rows = load(strip);
    const std::int64_t blocks = (s_.out + kBlockColumns - 1) / kBlockColumns;
    const std::int64_t share = strip.size() * s_.out_width * blocks / (4 * num_threads());
    const std::int64_t pixels = std::clamp(share, kMinTaskPixels, kMaxTaskPixels);
    const std::int64_t length = std::clamp<std::int64_t>(pixels / s_.out_width, 1, strip.size());
    const std::int64_t down = (strip.size() + length - 1) / length;
    parallel_for(blocks * down, [&](std::int64_t i) {
      const std::int64_t column = i / down * kBlockColumns, row = strip.begin + i % down * length;
      multiply(rows, strip.begin, {row, std::min(row + length, strip.end)},
               {column, std::min(column + kBlockColumns, s_.out)});
    });
  }

  // The padded rows that the strip's windows cover.
  Tensor load(Range strip) const {
    const std::int64_t count = (strip.size() - 1) * s_.stride + s_.kernel_height;
    Tensor rows = empty({count, padded_width_, pixel_words_}, Dtype::kI32);
    parallel_for(count, [&](std::int64_t i) {
      load_row(strip.begin * s_.stride - s_.pad_top + i,
               reinterpret_cast<std::uint32_t*>(rows.raw()) + i * padded_width_ * pixel_words_);
    });
    return rows;
  }

  void load_row(std::int64_t row, std::uint32_t* words) const {
    const bool is_inside = row >= 0 && row < s_.height;
    const std::int64_t before = is_inside ? std::min(s_.pad_left, padded_width_) : padded_width_;
    const std::int64_t pixels = std::min(s_.width, padded_width_ - before);
    zero(words, before);
    words += before * pixel_words_;
    if (pixels > 0) {
      const std::int64_t first = row * s_.width * s_.in;
      sum_.to_words(x_.raw() + first * static_cast<std::int64_t>(size_of(x_.dtype())),
                    pixels * s_.in, words);
    }
    zero(words + pixels * pixel_words_, padded_width_ - before - pixels);
  }

  void zero(std::uint32_t* words, std::int64_t pixels) const {
    std::memset(words, 0, static_cast<std::size_t>(pixels * pixel_words_) * sizeof(*words));
  }

  // rows: as load() gives them, from output row `first` on. out_rows, columns: of the result.
  void multiply(const Tensor& rows, std::int64_t first, Range out_rows, Range columns) const {
    const std::int64_t panel = product_kernels().panel_columns;
    const std::int64_t width = whole(columns.size(), panel);
    const std::int64_t chunk = std::min(piece_of(line_words_, kChunkWords, 16), line_words_);
    Tensor panels = empty({width, chunk}, Dtype::kI32);
    Tensor sums = empty({out_rows.size() * s_.out_width, width}, Dtype::kI32);
    for (std::int64_t line = 0; line < s_.kernel_height; ++line) {
      for (std::int64_t begin = 0; begin < line_words_; begin += chunk) {
        const Range words{begin, std::min(begin + chunk, line_words_)};
        const std::int64_t offset = line * line_words_;
        sum_.load_columns(columns, {offset + words.begin, offset + words.end},
                          reinterpret_cast<std::uint32_t*>(panels.raw()));
        for (std::int64_t row = out_rows.begin; row < out_rows.end; ++row) {
          const std::int64_t from = ((row - first) * s_.stride + line) * padded_width_;
          product_kernel(sum_.kind)(
              {.x = rows.data<std::int32_t>() + from * pixel_words_ + begin,
               .x_stride = s_.stride * pixel_words_,
               .rows = s_.out_width,
               .words = words.size(),
               .panels = panels.raw(),
               .columns = width,
               .sums = sums.data<std::int32_t>() + (row - out_rows.begin) * s_.out_width * width,
               .sums_stride = width,
               .is_accumulating = line + begin > 0});
        }
      }
    }
    sum_.store({out_rows.begin * s_.out_width, out_rows.end * s_.out_width}, columns,
               reinterpret_cast<const float*>(sums.raw()), width);
  }

  const ConvShape& s_;
  const Tensor& x_;
  const WeightedSum& sum_;
  std::int64_t pixel_words_, padded_width_, line_words_;
};

// A word holds channels of one pixel.
Bf16Path path_for(const Tensor& x, Bf16Path path) {
  return x.dim(-1) % 2 == 0 ? path : Bf16Path::kExpand;
}

}  // namespace

void conv2d(const ConvShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias,
            Tensor& y, Bf16Path path) {
  const WeightedSum sum(weight, bias, y, path_for(x, path));
  Convolution(shape, x, sum).run();
}

// A convolution of x for each of the four pixels that come of one. An even pixel sees the one
// before and its own, an odd one its own and the next.
void upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y,
                     Bf16Path path) {
  const std::int64_t height = x.dim(0), width = x.dim(1), in = x.dim(2), out = y.dim(2);
  for (std::int64_t phase = 0; phase < 4; ++phase) {
    const std::int64_t row_odd = phase / 2, column_odd = phase % 2;
    const ConvShape shape{.height = height,
                          .width = width,
                          .in = in,
                          .out_height = height,
                          .out_width = width,
                          .out = out,
                          .kernel_height = 2,
                          .kernel_width = 2,
                          .pad_top = 1 - row_odd,
                          .pad_left = 1 - column_odd,
                          .pad_bottom = row_odd,
                          .pad_right = column_odd};
    WeightedSum sum(weight.slice(phase, phase + 1).reshape({out, 2, 2, in}), bias, y,
                    path_for(x, path));
    sum.rows = height * width;
    sum.row_of_y = [=](std::int64_t pixel) {
      const std::int64_t row = 2 * (pixel / width) + row_odd;
      return row * 2 * width + 2 * (pixel % width) + column_odd;
    };
    Convolution(shape, x, sum).run();
  }
}

}  // namespace zimage::cpu
