#include "tokenizer/model_reader.h"

#include "core/check.h"
#include "io/printable.h"

namespace zimage {
namespace {

constexpr int kMaxDepth = 16;
constexpr int kMaxValues = 1'000'000;  // outside of vocab and merges
constexpr int kMemberDepth = 2;        // of the keys of `model`
constexpr int kEntryDepth = 3;         // of the entries of vocab and merges

std::pair<std::string, std::string> split_merge(const std::string& text, const std::string& where) {
  const std::size_t space = text.find(' ');
  check(space != text.npos && text.find(' ', space + 1) == text.npos, where, ": model.merges: \"",
        printable(text), "\", expected two tokens with one space between");
  return {text.substr(0, space), text.substr(space + 1)};
}

}  // namespace

bool ModelReader::operator()(int depth, Json::parse_event_t event, Json& value) {
  check(depth <= kMaxDepth, where_, ": nesting of more than ", kMaxDepth, " levels");
  if (event == Json::parse_event_t::key && depth <= kMemberDepth) follow_key(depth, value);
  if (depth >= kEntryDepth) {
    if (section_ == Section::kVocab) return read_vocab(depth, event, value);
    if (section_ == Section::kMerges) return read_merges(depth, event, value);
  }
  check(++values_ <= kMaxValues, where_, ": more than ", kMaxValues,
        " values beside vocab and merges");
  return true;
}

void ModelReader::follow_key(int depth, const Json& key) {
  const auto& name = key.get_ref<const std::string&>();
  section_ = Section::kOther;
  if (depth < kMemberDepth) {
    in_model_ = name == "model";
  } else if (in_model_) {
    if (name == "vocab") section_ = Section::kVocab;
    if (name == "merges") section_ = Section::kMerges;
  }
}

bool ModelReader::read_vocab(int depth, Json::parse_event_t event, Json& value) {
  if (event == Json::parse_event_t::key) {
    token_ = std::move(value.get_ref<std::string&>());
    return false;
  }
  check(depth == kEntryDepth && token_.has_value(), where_,
        ": model.vocab is no object, expected one of tokens and ids");
  const bool is_id = event == Json::parse_event_t::value && value.is_number_integer() &&
                     value >= 0 && value <= INT32_MAX;
  if (!is_id) {
    const bool is_value = event == Json::parse_event_t::value;
    throw Error(str(where_, ": model.vocab: the id of \"", printable(*token_), "\" is ",
                    is_value ? printable(value.dump()) : "nested",
                    ", expected an integer from 0 to ", INT32_MAX));
  }
  vocab.emplace_back(std::move(*token_), value.get<std::int32_t>());
  token_.reset();
  return false;
}

bool ModelReader::read_merges(int depth, Json::parse_event_t event, Json& value) {
  using Event = Json::parse_event_t;
  const bool is_text = event == Event::value && value.is_string();
  if (depth == kEntryDepth && is_text) {
    merges.push_back(split_merge(value.get_ref<std::string&>(), where_));
    return false;
  }
  if (depth == kEntryDepth && event == Event::array_start) {
    pair_.clear();
    return true;
  }
  if (depth == kEntryDepth + 1 && is_text && pair_.size() < 2) {
    pair_.push_back(std::move(value.get_ref<std::string&>()));
    return false;
  }
  const bool ends_pair = depth == kEntryDepth && event == Event::array_end && pair_.size() == 2;
  check(ends_pair, where_, ": model.merges: entry ", merges.size(),
        " is neither \"a b\" nor [\"a\", \"b\"]");
  merges.emplace_back(std::move(pair_[0]), std::move(pair_[1]));
  return false;
}

}  // namespace zimage
