// Shared by the readers of JSON; for .cpp files of io only.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/check.h"
#include "io/printable.h"

namespace zimage {

// Base of event handlers: turns syntax errors into Error.
class JsonSax {
 public:
  explicit JsonSax(const std::string& where) : where_(where) {}

  bool binary(nlohmann::json::binary_t&) { return false; }  // not in text

  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) {
    std::string_view text = error.what();  // "[json.exception.parse_error.101] parse error at line"
    if (const auto end = text.find("] "); end != text.npos) text.remove_prefix(end + 2);
    throw Error(str(where_, ": is no valid JSON: ", printable(text, 300)));
  }

 private:
  const std::string& where_;
};

template <class Handler>
void parse_json(std::string_view text, Handler& handler, const std::string& where) {
  // The parser takes a NUL for the end of the text and would not see what follows.
  const std::size_t nul = text.find('\0');
  check(nul == text.npos, where, ": is no valid JSON: a NUL character at byte ", nul);
  nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
}

}  // namespace zimage
