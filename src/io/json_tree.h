// The tree behind Json; for .cpp files of io only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace zimage::json {

struct Value;
struct Member;

struct Object {
  std::vector<Member> members;        // in file order
  std::vector<std::uint32_t> by_key;  // indices into members, sorted
  const Value* find(std::string_view key) const;
};
using Array = std::vector<Value>;

// std::uint64_t stands for integers that std::int64_t cannot hold.
struct Value {
  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      data;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
};

struct Member {
  std::string key;
  Value value;
};

// Throws Error for what is no JSON object, or one with duplicate keys, deep nesting or too many
// values.
Value parse_tree(std::string_view text, const std::string& where);

}  // namespace zimage::json
