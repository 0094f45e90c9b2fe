// Helpers of the image tests: files of tests/data/image, pictures to encode, bytes to damage.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"
#include "testing.h"
#include "zimage/image.h"

namespace zimage {

using Bytes = std::vector<std::byte>;

inline Bytes file_bytes(const std::string& name) {
  return read_file(test_data("image/" + name), std::size_t{1} << 20);
}

inline Bytes bytes_of(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

inline std::string_view text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline bool holds(const Bytes& bytes, std::string_view text) {
  return text_of(bytes).find(text) != std::string_view::npos;
}

inline Bytes joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// `size` bytes of the number, highest first.
inline Bytes big_endian(std::uint64_t value, int size) {
  Bytes bytes;
  for (int i = size - 1; i >= 0; --i) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
  return bytes;
}

// As PNG and zlib compute it.
inline std::uint32_t crc32(const Bytes& bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

inline Bytes png_chunk(const std::string& name, const Bytes& data) {
  const Bytes content = joined(bytes_of(name), data);
  return joined(joined(big_endian(data.size(), 4), content), big_endian(crc32(content), 4));
}

// Smooth with an edge, so that lossy codecs come close.
inline Image test_picture(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool is_right = x > width / 2;
      image.pixels.push_back(static_cast<std::uint8_t>(x * 255 / width));
      image.pixels.push_back(static_cast<std::uint8_t>(y * 255 / height));
      image.pixels.push_back(is_right ? 200 : 60);
    }
  }
  return image;
}

// The bytes of a u8 tensor.
inline std::vector<std::uint8_t> samples_of(const Tensor& t) {
  return {t.data<std::uint8_t>(), t.data<std::uint8_t>() + t.numel()};
}

// t: [height, width, 3] u8.
inline Image image_of(const Tensor& t) {
  return {static_cast<int>(t.dim(1)), static_cast<int>(t.dim(0)), samples_of(t)};
}

// The largest difference of two pictures' samples, 256 when the sizes differ.
inline int difference(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  if (a.size() != b.size()) return 256;
  int worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

}  // namespace zimage
