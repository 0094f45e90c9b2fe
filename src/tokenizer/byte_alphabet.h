#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zimage {

// Byte-level vocabularies write every byte as one printable character: printable Latin-1 as itself,
// the rest as U+0100 and up, in order ("Ġ" is a space).
std::string char_of_byte(std::uint8_t byte);

// The bytes a token of such a vocabulary stands for; nothing when it has other characters in it.
std::optional<std::string> bytes_of_token(std::string_view token);

}  // namespace zimage
