// OpenCV's gray and Canny edges: the thresholds, ties and borders of modules/imgproc/src/canny.cpp
// with aperture 3 and L1 magnitudes, equal in OpenCV 4.11.0 and 5.0.0.
#include "io/control_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "io/gray_image.h"
#include "io/image_size.h"

namespace zimage {
namespace {

// OpenCV's weights of red, green and blue in 2^-15; they add up to one.
GrayImage in_gray(const Image& image) {
  GrayImage gray{image.width, image.height, {}};
  gray.pixels.reserve(image.pixels.size() / 3);
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    const int sum =
        9798 * image.pixels[i] + 19235 * image.pixels[i + 1] + 3735 * image.pixels[i + 2];
    gray.pixels.push_back(static_cast<std::uint8_t>((sum + (1 << 14)) >> 15));
  }
  return gray;
}

Image in_rgb(const GrayImage& gray) {
  Image image{gray.width, gray.height, {}};
  image.pixels.reserve(gray.pixels.size() * 3);
  for (const std::uint8_t level : gray.pixels) image.pixels.insert(image.pixels.end(), 3, level);
  return image;
}

// Sobel derivatives of one row. Magnitudes have a zero at either end: pixel x is magnitude[x + 1].
struct GradientRow {
  explicit GradientRow(int width)
      : dx(static_cast<std::size_t>(width)), dy(dx.size()), magnitude(dx.size() + 2) {}

  std::vector<int> dx, dy, magnitude;
};

// Beyond its borders the picture repeats its outermost pixels, but magnitudes are zero there.
void find_gradients(const GrayImage& gray, int y, GradientRow& row) {
  std::fill(row.magnitude.begin(), row.magnitude.end(), 0);
  if (y < 0 || y >= gray.height) return;
  const auto line = [&](int at) {
    const auto clamped = static_cast<std::size_t>(std::clamp(at, 0, gray.height - 1));
    return gray.pixels.data() + clamped * row.dx.size();
  };
  const std::uint8_t *above = line(y - 1), *here = line(y), *below = line(y + 1);
  const std::size_t last = row.dx.size() - 1;
  for (std::size_t x = 0; x <= last; ++x) {
    const std::size_t left = x > 0 ? x - 1 : 0, right = std::min(x + 1, last);
    row.dx[x] =
        above[right] - above[left] + 2 * (here[right] - here[left]) + below[right] - below[left];
    row.dy[x] = below[left] - above[left] + 2 * (below[x] - above[x]) + below[right] - above[right];
    row.magnitude[x + 1] = std::abs(row.dx[x]) + std::abs(row.dy[x]);
  }
}

// Three rows around the one whose edges are looked for.
struct Neighbourhood {
  GradientRow above, here, below;

  // Whether no neighbour across the edge is stronger. Of equals in a row or a column the first is
  // the edge; on a diagonal neither is.
  bool is_ridge(std::size_t x) const {
    constexpr int kTan22 = 13573;  // tan(22.5 degrees) in 2^-15; that of 67.5 degrees is 2 more
    const int dx = here.dx[x], dy = here.dy[x];
    const int tan22 = std::abs(dx) * kTan22, tan67 = tan22 + (std::abs(dx) << 16);
    const int steepness = std::abs(dy) << 15;
    const std::size_t i = x + 1;
    const int m = here.magnitude[i];
    if (steepness < tan22) return m > here.magnitude[i - 1] && m >= here.magnitude[i + 1];
    if (steepness > tan67) return m > above.magnitude[i] && m >= below.magnitude[i];
    const bool rises_to_the_right = (dx < 0) != (dy < 0);
    const std::size_t over = rises_to_the_right ? i + 1 : i - 1;
    const std::size_t under = rises_to_the_right ? i - 1 : i + 1;
    return m > above.magnitude[over] && m > below.magnitude[under];
  }
};

enum : std::uint8_t { kNone, kWeak, kStrong, kEdge };

// What every pixel may be, with a border of kNone, so that each has eight neighbours.
struct EdgeMap {
  EdgeMap(int width, int height)
      : stride(static_cast<std::size_t>(width) + 2),
        kinds(stride * (static_cast<std::size_t>(height) + 2), kNone) {}

  std::uint8_t* row(int y) { return kinds.data() + stride * (static_cast<std::size_t>(y) + 1) + 1; }

  std::size_t stride;
  std::vector<std::uint8_t> kinds;
};

// low, high: a pixel is weak or strong above them.
EdgeMap find_ridges(const GrayImage& gray, int low, int high) {
  EdgeMap map(gray.width, gray.height);
  const GradientRow empty(gray.width);
  Neighbourhood rows{empty, empty, empty};
  find_gradients(gray, 0, rows.below);
  for (int y = 0; y < gray.height; ++y) {
    std::swap(rows.above, rows.here);
    std::swap(rows.here, rows.below);
    find_gradients(gray, y + 1, rows.below);
    std::uint8_t* kinds = map.row(y);
    for (std::size_t x = 0; x < rows.here.dx.size(); ++x) {
      const int magnitude = rows.here.magnitude[x + 1];
      if (magnitude > low && rows.is_ridge(x)) kinds[x] = magnitude > high ? kStrong : kWeak;
    }
  }
  return map;
}

// Strong pixels and the weak ones that touch them, directly or through others, become kEdge.
void track_edges(EdgeMap& map) {
  const std::size_t s = map.stride;
  // Steps back wrap around, as unsigned numbers do.
  const std::array<std::size_t, 8> steps{0 - s - 1, 0 - s, 0 - s + 1, std::size_t{0} - 1,
                                         1,         s - 1, s,         s + 1};
  std::vector<std::size_t> open;
  const auto mark = [&](std::size_t at) {
    map.kinds[at] = kEdge;
    open.push_back(at);
  };
  for (std::size_t start = 0; start < map.kinds.size(); ++start) {
    if (map.kinds[start] == kStrong) mark(start);
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      for (const std::size_t step : steps) {
        const std::uint8_t kind = map.kinds[at + step];
        if (kind == kWeak || kind == kStrong) mark(at + step);
      }
    }
  }
}

// As an exclusive limit of magnitudes, which are whole numbers from 0 to 2040.
int limit_of(double threshold) {
  return static_cast<int>(std::floor(std::clamp(threshold, -1.0, 2040.0)));
}

}  // namespace

Image gray_map(const Image& image) {
  check_pixels("gray", image.width, image.height, 3, image.pixels.size());
  return in_rgb(in_gray(image));
}

Image canny_map(const Image& image, double low, double high) {
  check_pixels("canny", image.width, image.height, 3, image.pixels.size());
  check_usage(!std::isnan(low) && !std::isnan(high), "canny: thresholds ", low, " and ", high,
              ", expected numbers");
  if (low > high) std::swap(low, high);
  GrayImage gray = in_gray(image);
  EdgeMap map = find_ridges(gray, limit_of(low), limit_of(high));
  track_edges(map);
  std::uint8_t* out = gray.pixels.data();
  for (int y = 0; y < gray.height; ++y) {
    const std::uint8_t* kinds = map.row(y);
    for (int x = 0; x < gray.width; ++x) *out++ = kinds[x] == kEdge ? 255 : 0;
  }
  return in_rgb(gray);
}

}  // namespace zimage
