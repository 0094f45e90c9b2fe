#include "cpu/conv2d.h"

#include <algorithm>
#include <cstring>

#include "cpu/weighted_sum.h"

namespace zimage::cpu {
namespace {

// Windows overlap, so their words are many times x: at most 8 MiB of them, if that is some rows.
constexpr std::int64_t kStripWords = std::int64_t{2} << 20;
constexpr std::int64_t kMinStripRows = 96, kMaxStripRows = 2304;

// What the kernel covers of x at an output pixel, as a row of [kernel_height, kernel_width, in]
// channels with zeros outside of the picture.
class Windows {
 public:
  Windows(const ConvShape& shape, const Tensor& x, const WeightedSum& sum)
      : s_(shape), x_(x.raw()), size_(static_cast<std::int64_t>(size_of(x.dtype()))), sum_(sum) {}

  // Channels [channel, channel + n) of the window at output pixel `pixel`.
  void load(std::int64_t pixel, std::int64_t channel, std::int64_t n, std::uint32_t* words) const {
    const std::int64_t top = pixel / s_.out_width * s_.stride - s_.pad_top;
    const std::int64_t left = pixel % s_.out_width * s_.stride - s_.pad_left;
    const std::int64_t line = s_.kernel_width * s_.in;  // channels
    while (n > 0) {
      const std::int64_t row = channel / line, begin = channel % line;
      const std::int64_t end = std::min(begin + n, line);
      load_line(top + row, left, begin, end, words);
      words += (end - begin) / sum_.per_word;
      channel += end - begin;
      n -= end - begin;
    }
  }

 private:
  // Channels [begin, end) of a line of the window, which starts at pixel `left` of x's row.
  void load_line(std::int64_t row, std::int64_t left, std::int64_t begin, std::int64_t end,
                 std::uint32_t* words) const {
    const bool is_inside = row >= 0 && row < s_.height;
    const std::int64_t first = is_inside ? std::clamp(-left * s_.in, begin, end) : end;
    const std::int64_t last = std::clamp((s_.width - left) * s_.in, first, end);
    zero(words, first - begin);
    if (last > first) {
      sum_.to_words(x_ + ((row * s_.width + left) * s_.in + first) * size_, last - first,
                    words + (first - begin) / sum_.per_word);
    }
    zero(words + (last - begin) / sum_.per_word, end - last);
  }

  void zero(std::uint32_t* words, std::int64_t channels) const {
    std::memset(words, 0, static_cast<std::size_t>(channels / sum_.per_word) * sizeof(*words));
  }

  const ConvShape& s_;
  const std::byte* x_;
  std::int64_t size_;
  const WeightedSum& sum_;
};

}  // namespace

void conv2d(const ConvShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias,
            Tensor& y, Bf16Path path) {
  // A word holds channels of one pixel.
  const WeightedSum sum(weight, bias, y, shape.in % 2 == 0 ? path : Bf16Path::kExpand);
  const Windows windows(shape, x, sum);
  const std::int64_t strip_rows = std::clamp(kStripWords / sum.in, kMinStripRows, kMaxStripRows);
  sum.run(strip_rows, [&](std::int64_t pixel, std::int64_t channel, std::int64_t n,
                          std::uint32_t* words) { windows.load(pixel, channel, n, words); });
}

}  // namespace zimage::cpu
