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

// Throws Error for what the parser would misread or spend excessive time and memory on: NUL, which
// it takes for the end of the text, numbers of more than 1000 digits and a million line breaks
// between two values.
void check_json_text(std::string_view text, const std::string& where);

template <class Handler>
void parse_json(std::string_view text, Handler& handler, const std::string& where) {
  check_json_text(text, where);
  nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
}

}  // namespace zimage
