#include "zimage/outpaint.h"

#include <algorithm>

#include "core/check.h"

namespace zimage {
namespace {

constexpr int kMultiple = 16;  // of the sizes that are drawn
constexpr int kFade = 16;      // pixels

// Makes size + low + high a multiple of 16.
void grow(int size, int& low, int& high) {
  const int missing = (kMultiple - (size + low + high) % kMultiple) % kMultiple;
  if (high > 0) {
    high += missing;
  } else if (low > 0) {
    low += missing;
  }
}

// 255 at an edge with a margin, 0 from kFade pixels on; `from_edge` counts from 0.
int fade(int margin, int from_edge) {
  if (margin == 0 || from_edge >= kFade) return 0;
  return 255 - 255 * (from_edge + 1) / (kFade + 1);
}

// How much of a pixel of the picture is repainted for the sake of the seams.
std::uint8_t seam(const Margins& m, int x, int y, int width, int height) {
  return static_cast<std::uint8_t>(std::max({fade(m.left, x), fade(m.right, width - 1 - x),
                                             fade(m.top, y), fade(m.bottom, height - 1 - y)}));
}

void check_margins(const Image& image, const Margins& m, const std::optional<Image>& mask) {
  const bool is_usable = std::min({m.left, m.top, m.right, m.bottom}) >= 0 &&
                         std::max({m.left, m.top, m.right, m.bottom}) > 0;
  check_usage(is_usable, "--outpaint ", m.left, ",", m.top, ",", m.right, ",", m.bottom,
              ": expected pixels to add on the left, top, right and bottom, 0 and more, not all 0");
  check_usage(!mask || (mask->width == image.width && mask->height == image.height),
              "--mask: ", mask ? mask->width : 0, " x ", mask ? mask->height : 0,
              " pixels, expected the picture's ", image.width, " x ", image.height,
              " with --outpaint");
  constexpr std::int64_t kMaxPixels = std::int64_t{1} << 28;
  const std::int64_t width = std::int64_t{image.width} + m.left + m.right + kMultiple;
  const std::int64_t height = std::int64_t{image.height} + m.top + m.bottom + kMultiple;
  check_usage(width <= kMaxPixels / height, "--outpaint: a canvas of ", width, " x ", height,
              " pixels, expected at most ", kMaxPixels);
}

}  // namespace

OutpaintInput outpaint(const Image& image, Margins margins, const std::optional<Image>& mask) {
  check_margins(image, margins, mask);
  grow(image.width, margins.left, margins.right);
  grow(image.height, margins.top, margins.bottom);
  const int width = image.width + margins.left + margins.right;
  const int height = image.height + margins.top + margins.bottom;
  const auto bytes =
      std::size_t{3} * static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  OutpaintInput out{.image = {width, height, std::vector<std::uint8_t>(bytes)},
                    .mask = {width, height, std::vector<std::uint8_t>(bytes)}};
  std::size_t at = 0;
  for (int y = 0; y < height; ++y) {
    const int inner_y = std::clamp(y - margins.top, 0, image.height - 1);
    for (int x = 0; x < width; ++x) {
      const int inner_x = std::clamp(x - margins.left, 0, image.width - 1);
      const bool is_inside = inner_x == x - margins.left && inner_y == y - margins.top;
      const std::size_t inner =
          3 * (static_cast<std::size_t>(inner_y) * static_cast<std::size_t>(image.width) +
               static_cast<std::size_t>(inner_x));
      const std::uint8_t repaint =
          is_inside ? seam(margins, inner_x, inner_y, image.width, image.height) : 255;
      for (std::size_t c = 0; c < 3; ++c, ++at) {
        out.image.pixels[at] = image.pixels[inner + c];
        const bool has_mask = is_inside && mask.has_value();
        out.mask.pixels[at] = has_mask ? std::max(repaint, mask->pixels[inner + c]) : repaint;
      }
    }
  }
  return out;
}

}  // namespace zimage
