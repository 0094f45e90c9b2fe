#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace zimage {

// EXIF blocks: a TIFF structure, in JPEG files (and some WebP files) behind "Exif\0\0".

// Tag Orientation, 1 to 8; 1 when there is none or the block is damaged.
int exif_orientation(std::span<const std::byte> exif);

// A block with nothing but the tag UserComment, without "Exif\0\0". Big-endian, text in UTF-16BE:
// what piexif writes, and with it every reader of Stable Diffusion pictures expects.
std::vector<std::byte> exif_with_user_comment(std::string_view utf8);

}  // namespace zimage
