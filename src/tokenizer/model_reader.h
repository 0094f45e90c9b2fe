// Part of the reader of tokenizer.json; for its .cpp files only.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace zimage {

// A callback of nlohmann's parser that takes model.vocab and model.merges out of the stream: as
// JSON values they would need twenty times the memory.
class ModelReader {
 public:
  using Json = nlohmann::json;

  explicit ModelReader(const std::string& where) : where_(where) {}

  // False keeps the value out of the tree.
  bool operator()(int depth, Json::parse_event_t event, Json& value);

  // In file order; ids may repeat and leave gaps.
  std::vector<std::pair<std::string, std::int32_t>> vocab;
  std::vector<std::pair<std::string, std::string>> merges;

 private:
  enum class Section { kOther, kVocab, kMerges };

  void follow_key(int depth, const Json& key);
  bool read_vocab(int depth, Json::parse_event_t event, Json& value);
  bool read_merges(int depth, Json::parse_event_t event, Json& value);

  const std::string& where_;
  Section section_ = Section::kOther;
  bool in_model_ = false;
  int values_ = 0;  // kept in the tree
  std::optional<std::string> token_;
  std::vector<std::string> pair_;
};

}  // namespace zimage
