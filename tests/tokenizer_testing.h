// Helpers for tests of the tokenizer: the small tokenizer.json, to be changed and loaded.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "io/file.h"
#include "testing.h"
#include "tokenizer/tokenizer.h"

namespace zimage {

using Json = nlohmann::json;

inline std::string read_text(const std::filesystem::path& path) {
  const auto bytes = read_file(path, std::size_t{64} << 20);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A tokenizer.json with about 400 tokens, to be changed by tests.
inline Json small_json() {
  static const Json json = Json::parse(read_text(test_data("tokenizer/small_tokenizer.json")));
  return json;
}

inline Tokenizer tokenizer_of(const Json& json) {
  return Tokenizer::from_json(json.dump(), "t.json");
}

inline std::string repeated(std::string_view part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

}  // namespace zimage
