#include "tokenizer/bpe.h"

#include <bit>
#include <cassert>
#include <limits>
#include <queue>

#include "core/check.h"
#include "io/printable.h"
#include "tokenizer/byte_alphabet.h"

namespace zimage {
namespace {

using TokenIds = std::unordered_map<std::string_view, std::int32_t>;

constexpr std::int32_t kNone = -1;

std::uint64_t key_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
}

struct Symbol {
  std::int32_t id;  // kNone once merged into the one before
  std::int32_t previous;
  std::int32_t next;
};

struct Candidate {
  std::int32_t rank;
  std::int32_t at;  // its left symbol
  std::int32_t id;

  // The queue hands out the largest: the lowest rank, among equals the leftmost.
  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  }
};

TokenIds ids_of(const std::vector<std::string>& vocab, const std::string& where) {
  TokenIds ids;
  ids.reserve(vocab.size());
  for (const std::string& token : vocab) {
    if (!ids.emplace(token, static_cast<std::int32_t>(ids.size())).second) {
      throw Error(str(where, ": model.vocab has \"", printable(token), "\" twice"));
    }
  }
  return ids;
}

std::int32_t id_of(const TokenIds& ids, std::string_view token, std::size_t merge,
                   const std::string& where) {
  if (const auto it = ids.find(token); it != ids.end()) return it->second;
  throw Error(str(where, ": model.merges: entry ", merge, " needs \"", printable(token),
                  "\", which model.vocab does not have"));
}

}  // namespace

Bpe::Bpe(const TokenizerFile& file, const std::string& where) {
  const TokenIds ids = ids_of(file.vocab, where);
  for (int byte = 0; byte < 256; ++byte) {
    const auto it = ids.find(char_of_byte(static_cast<std::uint8_t>(byte)));
    check(it != ids.end(), where, ": model.vocab has no \"",
          char_of_byte(static_cast<std::uint8_t>(byte)),
          "\", expected a token for each of the 256 ", "bytes");
    byte_ids_.push_back(it->second);
  }
  reserve_merges(file.merges.size());
  for (std::size_t i = 0; i < file.merges.size(); ++i) {
    const auto& [left, right] = file.merges[i];
    const Merge merge{static_cast<std::int32_t>(i), id_of(ids, left + right, i, where)};
    add(id_of(ids, left, i, where), id_of(ids, right, i, where), merge);
  }
  if (!file.ignore_merges) return;
  for (const auto& [token, id] : ids) {
    if (auto bytes = bytes_of_token(token)) whole_words_.emplace(std::move(*bytes), id);
  }
}

void Bpe::reserve_merges(std::size_t n) { merges_.resize(std::bit_ceil(2 * n + 1)); }

std::size_t Bpe::slot_of(std::uint64_t pair) const {
  const std::size_t mask = merges_.size() - 1;
  // Fibonacci hashing: the upper half of the product depends on all bits.
  std::size_t slot = (pair * 0x9e3779b97f4a7c15) >> 32 & mask;
  while (merges_[slot].merge.rank >= 0 && merges_[slot].pair != pair) slot = (slot + 1) & mask;
  return slot;
}

// Of two merges of the same pair the later counts, as in Hugging Face.
void Bpe::add(std::int32_t left, std::int32_t right, const Merge& merge) {
  const std::uint64_t pair = key_of(left, right);
  merges_[slot_of(pair)] = {pair, merge};
}

const Bpe::Merge* Bpe::find(std::int32_t left, std::int32_t right) const {
  const Slot& slot = merges_[slot_of(key_of(left, right))];
  return slot.merge.rank < 0 ? nullptr : &slot.merge;
}

void Bpe::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  assert(word.size() <= std::numeric_limits<std::int32_t>::max());
  if (!whole_words_.empty()) {
    if (const auto it = whole_words_.find(std::string(word)); it != whole_words_.end()) {
      ids.push_back(it->second);
      return;
    }
  }
  merge(word, ids);
}

void Bpe::merge(std::string_view word, std::vector<std::int32_t>& ids) const {
  const auto n = static_cast<std::int32_t>(word.size());
  std::vector<Symbol> symbols(word.size());
  for (std::int32_t i = 0; i < n; ++i) {
    symbols[i] = {byte_ids_[static_cast<std::uint8_t>(word[i])], i - 1, i + 1 < n ? i + 1 : kNone};
  }

  std::vector<Candidate> initial;
  const auto candidate_at = [&](std::int32_t at, auto&& add) {
    if (at == kNone || symbols[at].next == kNone) return;
    const Merge* merge = find(symbols[at].id, symbols[symbols[at].next].id);
    if (merge != nullptr) add(Candidate{merge->rank, at, merge->id});
  };
  for (std::int32_t i = 0; i < n; ++i) {
    candidate_at(i, [&](const Candidate& c) { initial.push_back(c); });
  }
  std::priority_queue<Candidate> queue({}, std::move(initial));

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[best.at];
    if (left.id == kNone || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    const Merge* merge = find(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;  // one of the two has changed since
    left.id = best.id;
    left.next = right.next;
    right.id = kNone;
    if (left.next != kNone) symbols[left.next].previous = best.at;
    const auto push = [&](const Candidate& c) { queue.push(c); };
    candidate_at(left.previous, push);
    candidate_at(best.at, push);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNone) ids.push_back(symbol.id);
  }
}

}  // namespace zimage
