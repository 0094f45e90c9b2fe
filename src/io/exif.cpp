#include "io/exif.h"

#include <cstdint>
#include <cstring>

#include "io/image_text.h"

namespace zimage {
namespace {

constexpr std::string_view kJpegPrefix{"Exif\0\0", 6};
constexpr std::string_view kUnicode{"UNICODE\0", 8};

enum Tag : std::uint16_t { kOrientation = 0x0112, kExifIfd = 0x8769, kUserComment = 0x9286 };
enum Type : std::uint16_t { kShort = 3, kLong = 4, kUndefined = 7 };

constexpr std::size_t kEntryBytes = 12;

// Numbers of a TIFF structure in its byte order; 0 outside of it.
class TiffReader {
 public:
  TiffReader(std::span<const std::byte> bytes, bool is_big_endian)
      : bytes_(bytes), is_big_endian_(is_big_endian) {}

  std::uint32_t u16(std::size_t at) const { return number(at, 2); }
  std::uint32_t u32(std::size_t at) const { return number(at, 4); }

 private:
  std::uint32_t number(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t from_high = is_big_endian_ ? i : size - 1 - i;
      value = (value << 8) | std::to_integer<std::uint32_t>(bytes_[at + from_high]);
    }
    return value;
  }

  std::span<const std::byte> bytes_;
  bool is_big_endian_;
};

bool starts_with(std::span<const std::byte> bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

class BigEndianWriter {
 public:
  void u16(std::uint32_t value) {
    bytes_.push_back(static_cast<std::byte>(value >> 8));
    bytes_.push_back(static_cast<std::byte>(value));
  }
  void u32(std::uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void text(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
  }
  // An IFD of one entry whose value is, or lies at, `value`.
  void ifd(Tag tag, Type type, std::uint32_t count, std::uint32_t value) {
    u16(1);
    u16(tag);
    u16(type);
    u32(count);
    u32(value);
    u32(0);  // no further IFD
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

int exif_orientation(std::span<const std::byte> exif) {
  if (starts_with(exif, kJpegPrefix)) exif = exif.subspan(kJpegPrefix.size());
  const bool is_big_endian = starts_with(exif, "MM");
  if (!is_big_endian && !starts_with(exif, "II")) return 1;

  const TiffReader tiff(exif, is_big_endian);
  if (tiff.u16(2) != 42) return 1;
  const std::size_t ifd = tiff.u32(4);
  const std::size_t entries = tiff.u16(ifd);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = ifd + 2 + i * kEntryBytes;
    if (tiff.u16(entry) != kOrientation) continue;
    const bool is_one_short = tiff.u16(entry + 2) == kShort && tiff.u32(entry + 4) == 1;
    const auto orientation = static_cast<int>(tiff.u16(entry + 8));
    return is_one_short && orientation >= 1 && orientation <= 8 ? orientation : 1;
  }
  return 1;
}

std::vector<std::byte> exif_with_user_comment(std::string_view utf8) {
  constexpr std::uint32_t kHeaderBytes = 8, kIfdBytes = 2 + kEntryBytes + 4;
  const std::u16string text = utf16_of(utf8);
  const auto comment_bytes = static_cast<std::uint32_t>(kUnicode.size() + 2 * text.size());

  BigEndianWriter out;
  out.text("MM");
  out.u16(42);
  out.u32(kHeaderBytes);
  out.ifd(kExifIfd, kLong, 1, kHeaderBytes + kIfdBytes);
  out.ifd(kUserComment, kUndefined, comment_bytes, kHeaderBytes + 2 * kIfdBytes);
  out.text(kUnicode);
  for (const char16_t unit : text) out.u16(unit);
  return out.take();
}

}  // namespace zimage
