#pragma once

#include <string>
#include <string_view>

namespace zimage {

// Text for the metadata of picture files, whose readers give up on what is no UTF-8.

// Bytes that are no UTF-8 become U+FFFD; NUL, which would end the text, as well.
std::string valid_utf8(std::string_view text);

// The same text in UTF-16.
std::u16string utf16_of(std::string_view utf8);

// A tEXt chunk is Latin-1 by the PNG standard, but some writers put UTF-8 there: taken as UTF-8
// where it is valid UTF-8.
std::string utf8_of_text_chunk(std::string_view text);

// An XMP packet with `json` as the property zimage:record.
std::string xmp_packet(std::string_view json);

}  // namespace zimage
