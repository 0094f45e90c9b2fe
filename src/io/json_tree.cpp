#include "io/json_tree.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "io/json_sax.h"
#include "io/printable.h"

namespace zimage::json {
namespace {

constexpr std::size_t kMaxNesting = 64;
constexpr std::size_t kMaxValues = std::size_t{1} << 21;  // bounds memory: at most ~100 bytes each

// Builds the tree. Open containers live on a stack of their own and move into their parent when
// they close.
class TreeBuilder : public JsonSax {
 public:
  explicit TreeBuilder(const std::string& where) : JsonSax(where), where_(where) {}

  Value take_root() { return std::move(root_); }

  bool null() { return add({nullptr}); }
  bool boolean(bool value) { return add({value}); }
  bool number_integer(std::int64_t value) { return add({value}); }
  bool number_unsigned(std::uint64_t value) {
    if (value > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) return add({value});
    return add({static_cast<std::int64_t>(value)});
  }
  bool number_float(double value, const std::string&) { return add({value}); }
  bool string(std::string& value) { return add({std::move(value)}); }

  bool start_object(std::size_t) { return open({Object{}}); }
  bool start_array(std::size_t) { return open({Array{}}); }
  bool key(std::string& key) {
    object().members.push_back({std::move(key), {nullptr}});
    return true;
  }
  bool end_object() {
    index(object());
    return close();
  }
  bool end_array() { return close(); }

 private:
  Object& object() { return std::get<Object>(open_.back().data); }

  bool open(Value value) {
    check(!open_.empty() || value.as<Object>() != nullptr, where_,
          ": is an array, expected an object at the top");
    check(open_.size() < kMaxNesting, where_, ": is nested deeper than ", kMaxNesting, " levels");
    count();
    open_.push_back(std::move(value));
    return true;
  }

  bool close() {
    Value done = std::move(open_.back());
    open_.pop_back();
    if (open_.empty()) {
      root_ = std::move(done);
    } else {
      place(std::move(done));
    }
    return true;
  }

  bool add(Value value) {
    check(!open_.empty(), where_, ": is a single value, expected an object at the top");
    count();
    place(std::move(value));
    return true;
  }

  void place(Value value) {
    if (auto* array = std::get_if<Array>(&open_.back().data)) {
      array->push_back(std::move(value));
    } else {
      object().members.back().value = std::move(value);
    }
  }

  void count() {
    check(++values_ <= kMaxValues, where_, ": holds more than ", kMaxValues, " values");
  }

  void index(Object& object) {
    const auto key_of = [&](std::uint32_t i) -> const std::string& {
      return object.members[i].key;
    };
    object.by_key.resize(object.members.size());
    std::iota(object.by_key.begin(), object.by_key.end(), 0u);
    std::sort(object.by_key.begin(), object.by_key.end(),
              [&](std::uint32_t a, std::uint32_t b) { return key_of(a) < key_of(b); });
    const auto twice = std::adjacent_find(
        object.by_key.begin(), object.by_key.end(),
        [&](std::uint32_t a, std::uint32_t b) { return key_of(a) == key_of(b); });
    check(twice == object.by_key.end(), where_, ": key ",
          twice == object.by_key.end() ? "" : printable(key_of(*twice)),
          " appears twice in one object");
  }

  const std::string& where_;
  std::vector<Value> open_;
  std::size_t values_ = 0;
  Value root_;
};

}  // namespace

const Value* Object::find(std::string_view key) const {
  const auto it =
      std::lower_bound(by_key.begin(), by_key.end(), key,
                       [&](std::uint32_t i, std::string_view k) { return members[i].key < k; });
  return it != by_key.end() && members[*it].key == key ? &members[*it].value : nullptr;
}

Value parse_tree(std::string_view text, const std::string& where) {
  TreeBuilder builder(where);
  parse_json(text, builder, where);
  return builder.take_root();
}

}  // namespace zimage::json
