#include "models/vae_names.h"

#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

namespace zimage {
namespace {

struct Rename {
  std::string_view from, to;
};

constexpr std::array<Rename, 5> kAttention{{{"norm", "group_norm"},
                                            {"q", "to_q"},
                                            {"k", "to_k"},
                                            {"v", "to_v"},
                                            {"proj_out", "to_out.0"}}};

std::vector<std::string> split(const std::string& name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (c == '.') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

std::string joined(const std::vector<std::string>& words, std::size_t begin) {
  std::string text;
  for (std::size_t i = begin; i < words.size(); ++i) text += (i > begin ? "." : "") + words[i];
  return text;
}

std::optional<int> number(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return {};
  return value;
}

std::string resnet_part(const std::string& rest) {
  constexpr std::string_view kOld = "nin_shortcut";
  return rest.starts_with(kOld) ? "conv_shortcut" + rest.substr(kOld.size()) : rest;
}

// words: side, "mid", what, ...
std::optional<std::string> mid_name(const std::vector<std::string>& words) {
  if (words.size() < 4) return {};
  const std::string start = words[0] + ".mid_block.";
  if (words[2] == "block_1") return start + "resnets.0." + resnet_part(joined(words, 3));
  if (words[2] == "block_2") return start + "resnets.1." + resnet_part(joined(words, 3));
  if (words[2] != "attn_1") return {};
  for (const auto& [from, to] : kAttention) {
    if (words[3] == from) return start + "attentions.0." + std::string(to) + "." + joined(words, 4);
  }
  return {};
}

// words: side, "up" or "down", stage, what, ...
std::optional<std::string> stage_name(const std::vector<std::string>& words, int stages) {
  if (words.size() < 6) return {};
  const bool is_up = words[1] == "up";
  const auto stage = number(words[2]);
  if (!stage || *stage >= stages) return {};
  const std::string start = words[0] + (is_up ? ".up_blocks." : ".down_blocks.") +
                            std::to_string(is_up ? stages - 1 - *stage : *stage) + ".";
  if (words[3] == "block" && number(words[4])) {
    return start + "resnets." + words[4] + "." + resnet_part(joined(words, 5));
  }
  if (words[3] == (is_up ? "upsample" : "downsample")) {
    return start + words[3] + "rs.0." + joined(words, 4);
  }
  return {};
}

}  // namespace

int compvis_stages(const std::set<std::string>& names, const std::string& prefix) {
  const std::string start = prefix + "decoder.up.";
  int stages = 0;
  for (auto it = names.lower_bound(start); it != names.end() && it->starts_with(start); ++it) {
    const std::size_t end = it->find('.', start.size());
    if (const auto stage = number(it->substr(start.size(), end - start.size()))) {
      stages = std::max(stages, *stage < 64 ? *stage + 1 : 0);
    }
  }
  return stages;
}

std::string vae_name_of_compvis(const std::string& name, int stages) {
  const std::vector<std::string> words = split(name);
  if (words.size() < 3 || (words[0] != "decoder" && words[0] != "encoder")) return name;
  if (words[1] == "norm_out") return words[0] + ".conv_norm_out." + joined(words, 2);
  if (words[1] == "mid") return mid_name(words).value_or(name);
  if (words[1] == "up" || words[1] == "down") return stage_name(words, stages).value_or(name);
  return name;
}

}  // namespace zimage
