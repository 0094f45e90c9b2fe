#include "pipeline/infotext.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "io/printable.h"

namespace zimage {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kNegativePrompt = "Negative prompt:";
constexpr std::size_t kMinPairs = 3;  // in the last line, or it is prompt

// A1111 finds the pairs of a line with this regular expression of Python's, \w and \s of Unicode:
//   \s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)
// The functions below do the same in linear time.

struct Character {
  utf8proc_int32_t code;  // negative: no UTF-8
  std::size_t bytes;
};

Character character_at(std::string_view text, std::size_t at) {
  Character character{};
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at;
  const auto rest = static_cast<utf8proc_ssize_t>(std::min<std::size_t>(text.size() - at, 4));
  const utf8proc_ssize_t length = utf8proc_iterate(bytes, rest, &character.code);
  character.bytes = length > 0 ? static_cast<std::size_t>(length) : 1;
  return character;
}

bool is_word(utf8proc_int32_t code) {
  if (code < 0) return false;
  const int category = utf8proc_category(code);
  const bool is_letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
  const bool is_number = category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
  return is_letter || is_number || code == '_';
}

bool is_space(utf8proc_int32_t code) {
  if (code < 0) return false;
  if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13) || (code >= 28 && code <= 31);
  const int category = utf8proc_category(code);
  return code == 0x85 || (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP);
}

bool is_in_key(utf8proc_int32_t code) {
  return is_word(code) || code == ' ' || code == '-' || code == '/';
}

template <class Is>
std::size_t skip(std::string_view text, std::size_t at, Is is) {
  while (at < text.size()) {
    const Character character = character_at(text, at);
    if (!is(character.code)) break;
    at += character.bytes;
  }
  return at;
}

// Behind the closing quote of the string that starts at `at`; npos where none does.
std::size_t end_of_quoted(std::string_view line, std::size_t at) {
  if (at >= line.size() || line[at] != '"') return std::string_view::npos;
  for (std::size_t i = at + 1; i < line.size(); ++i) {
    if (line[i] == '"') return i == at + 1 ? std::string_view::npos : i + 1;
    if (line[i] == '\\') ++i;
  }
  return std::string_view::npos;
}

std::size_t end_of_value(std::string_view line, std::size_t at) {
  const std::size_t quoted = end_of_quoted(line, at);
  const bool is_whole_value =
      quoted != std::string_view::npos && (quoted == line.size() || line[quoted] == ',');
  return is_whole_value ? quoted : std::min(line.find(',', at), line.size());
}

std::string unquoted(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    const auto json = nlohmann::json::parse(value, nullptr, /*allow_exceptions=*/false);
    if (json.is_string()) return json.get<std::string>();
  }
  return std::string(value);
}

Pairs find_pairs(std::string_view line) {
  Pairs pairs;
  for (std::size_t at = 0; at < line.size();) {
    const Character first = character_at(line, at);
    const std::size_t second = at + first.bytes;
    if (!is_word(first.code)) {
      at = second;
      continue;
    }
    const std::size_t key_end = skip(line, second, is_in_key);
    if (key_end == second || key_end == line.size() || line[key_end] != ':') {
      at = key_end;  // a key that starts further right would end there as well
      continue;
    }
    const std::size_t value = skip(line, key_end + 1, is_space);
    const std::size_t value_end = end_of_value(line, value);
    pairs.emplace_back(line.substr(at, key_end - at),
                       unquoted(line.substr(value, value_end - value)));
    at = value_end;
  }
  return pairs;
}

bool is_key(std::string_view key) {
  if (key.empty() || key.back() == ' ') return false;
  const Character first = character_at(key, 0);
  return is_word(first.code) && first.bytes < key.size() &&
         skip(key, first.bytes, is_in_key) == key.size();
}

// Beyond what the expression asks for: readers strip spaces from the ends.
bool needs_quotes(std::string_view value) {
  bool ends_with_space = false;
  for (std::size_t at = 0; at < value.size();) {
    const Character character = character_at(value, at);
    const utf8proc_int32_t code = character.code;
    const bool is_control = code >= 0 && code < 0x20;
    ends_with_space = is_space(code);
    if (is_control || code == ',' || code == ':' || code == '"') return true;
    if (at == 0 && ends_with_space) return true;
    at += character.bytes;
  }
  return ends_with_space;
}

std::string quoted(const std::string& value) {
  if (!needs_quotes(value)) return value;
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string_view without_space_at_end(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\n\v\f\r");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// Where the line with the negative prompt starts, npos without one.
std::size_t find_negative_prompt(std::string_view text) {
  for (std::size_t line = 0; line < text.size();) {
    const std::size_t end = std::min(text.find('\n', line), text.size());
    const std::size_t start = std::min(text.find_first_not_of(" \t\r", line), text.size());
    if (text.substr(start).starts_with(kNegativePrompt)) return line;
    line = end + 1;
  }
  return std::string_view::npos;
}

void split_prompts(std::string_view text, Infotext& info) {
  const std::size_t line = find_negative_prompt(text);
  if (line == std::string_view::npos) {
    info.prompt = text;
    return;
  }
  info.prompt = text.substr(0, line == 0 ? 0 : line - 1);
  std::string_view negative =
      text.substr(text.find(kNegativePrompt, line) + kNegativePrompt.size());
  if (negative.starts_with(' ')) negative.remove_prefix(1);
  info.negative_prompt = negative;
}

}  // namespace

std::string format_infotext(const Infotext& info) {
  check(info.parameters.size() >= kMinPairs, "infotext: ", info.parameters.size(),
        " parameters, expected ", kMinPairs, " or more");
  std::string text;
  if (!info.prompt.empty()) text += info.prompt + "\n";
  if (!info.negative_prompt.empty()) text += str(kNegativePrompt, " ", info.negative_prompt, "\n");
  const char* separator = "";
  for (const auto& [key, value] : info.parameters) {
    check(is_key(key), "infotext: key \"", printable(key),
          "\", expected letters, digits, spaces, - and /");
    text += str(separator, key, ": ", quoted(value));
    separator = ", ";
  }
  return text;
}

Infotext parse_infotext(std::string_view text) {
  const std::string_view trimmed = without_space_at_end(text);
  const std::size_t newline = trimmed.rfind('\n');
  const bool is_one_line = newline == std::string_view::npos;
  Infotext info;
  info.parameters = find_pairs(trimmed.substr(is_one_line ? 0 : newline + 1));
  if (info.parameters.size() >= kMinPairs) {
    text = text.substr(0, is_one_line ? 0 : newline);
  } else {
    info.parameters.clear();
  }
  split_prompts(text, info);
  return info;
}

std::string cfg_scale_text(float guidance_scale) {
  std::array<char, 32> digits;
  const float scale = guidance_scale > 0 ? 1 + guidance_scale : 1.0f;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), scale);
  check(error == std::errc(), "infotext: a CFG scale of ", scale);
  return {digits.data(), end};
}

}  // namespace zimage
