#pragma once

#include <string>
#include <string_view>

namespace zimage {

// Normalization form C of valid UTF-8, as Hugging Face tokenizers compute it: with the tables of
// Unicode 9. Characters that came later stay where they are and combine with nothing.
std::string nfc(std::string_view text);

}  // namespace zimage
