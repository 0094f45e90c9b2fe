#include "io/json.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/check.h"
#include "io/file.h"
#include "io/json_tree.h"
#include "io/printable.h"

namespace zimage {
namespace {

using json::Array;
using json::Member;
using json::Object;
using json::Value;

// What a value is, for messages.
struct Describe {
  std::string operator()(std::nullptr_t) const { return "null"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return str(value); }
  std::string operator()(std::uint64_t value) const { return str(value); }
  std::string operator()(double value) const {
    std::ostringstream out;
    out.precision(17);
    out << value;
    // A float that happens to be integral must not look like the integer that is asked for.
    if (out.str().find_first_not_of("-0123456789") == std::string::npos) out << ".0";
    return out.str();
  }
  std::string operator()(const std::string& value) const { return str('"', printable(value), '"'); }
  std::string operator()(const Array& value) const {
    return str("an array of ", value.size(), " values");
  }
  std::string operator()(const Object&) const { return "an object"; }
};

std::string describe(const Value& value) { return std::visit(Describe{}, value.data); }

// Each convert() stores the value, or returns what was expected instead.
using Expected = std::optional<std::string>;

Expected convert(const Value& value, bool& out) {
  const bool* found = value.as<bool>();
  if (found == nullptr) return "true or false";
  out = *found;
  return {};
}

Expected convert(const Value& value, std::string& out) {
  const auto* found = value.as<std::string>();
  if (found == nullptr) return "text";
  out = *found;
  return {};
}

template <class Int>
Expected convert_integer(const Value& value, Int& out) {
  using Limits = std::numeric_limits<Int>;
  const auto* found = value.as<std::int64_t>();
  if (found == nullptr || *found < Limits::min() || *found > Limits::max()) {
    return str("an integer from ", Limits::min(), " to ", Limits::max());
  }
  out = static_cast<Int>(*found);
  return {};
}
Expected convert(const Value& value, int& out) { return convert_integer(value, out); }
Expected convert(const Value& value, std::int64_t& out) { return convert_integer(value, out); }

// JSON makes no difference between 1000000 and 1000000.0; both stand for floats in real files.
Expected convert(const Value& value, double& out) {
  if (const auto* number = value.as<double>()) {
    out = *number;
  } else if (const auto* integer = value.as<std::int64_t>()) {
    out = static_cast<double>(*integer);
  } else if (const auto* large = value.as<std::uint64_t>()) {
    out = static_cast<double>(*large);
  } else {
    return "a number";
  }
  return {};  // the parser lets no infinity through
}

Expected convert(const Value& value, float& out) {
  double number = 0;
  if (Expected expected = convert(value, number)) return expected;
  // The cast must be of a value in range; float's largest lies half a step below what rounds to it.
  if (std::abs(number) > double{std::numeric_limits<float>::max()}) return "a 32-bit float";
  out = static_cast<float>(number);
  return {};
}

template <class T>
Expected convert(const Value& value, std::vector<T>& out) {
  const auto* array = value.as<Array>();
  if (array == nullptr) return "an array";
  out.resize(array->size());
  for (std::size_t i = 0; i < array->size(); ++i) {
    if (Expected expected = convert((*array)[i], out[i])) {
      return str("element ", i, " (", describe((*array)[i]), ") to be ", *expected);
    }
  }
  return {};
}

Expected convert(const Value& value, std::array<int, 3>& out) {
  std::vector<int> values;
  if (Expected expected = convert(value, values)) return expected;
  if (values.size() != out.size()) return "an array of 3 values";
  std::copy(values.begin(), values.end(), out.begin());
  return {};
}

}  // namespace

struct Json::Node {
  std::shared_ptr<const Value> root;  // keeps the whole tree alive
  const Object* object;
  std::string where;

  const Value* find(std::string_view key) const {
    const Value* value = object->find(key);
    return value == nullptr || value->as<std::nullptr_t>() != nullptr ? nullptr : value;
  }

  const Value& at(std::string_view key) const {
    const Value* value = object->find(key);
    check(value != nullptr, where, ": key ", printable(key), " is missing");
    return *value;
  }

  // "config.json key a", and below it "config.json key a.b".
  std::string where_of(std::string_view key) const {
    return str(where, root_where_bytes == where.size() ? " key " : ".", printable(key));
  }
  std::size_t root_where_bytes;

  template <class T>
  T convert_or_throw(std::string_view key, const Value& value) const {
    T converted{};
    const Expected expected = convert(value, converted);
    check(!expected, where, ": key ", printable(key), " is ", describe(value), ", expected ",
          expected.value_or(""));
    return converted;
  }
};

Json::Json(std::shared_ptr<const Node> node) : node_(std::move(node)) {}

Json Json::parse_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const std::vector<std::byte> bytes = read_file(path, max_bytes);
  return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, shown(path));
}

Json Json::parse(std::string_view text, std::string where) {
  const auto root = std::make_shared<const Value>(json::parse_tree(text, where));
  const std::size_t where_bytes = where.size();
  return Json(
      std::make_shared<const Node>(Node{root, root->as<Object>(), std::move(where), where_bytes}));
}

const std::string& Json::where() const { return node_->where; }

bool Json::has(std::string_view key) const { return node_->find(key) != nullptr; }

std::vector<std::string> Json::keys() const {
  std::vector<std::string> keys;
  keys.reserve(node_->object->members.size());
  for (const Member& member : node_->object->members) keys.push_back(member.key);
  return keys;
}

template <class T>
T Json::get(std::string_view key) const {
  return node_->convert_or_throw<T>(key, node_->at(key));
}

template <class T>
T Json::get_or(std::string_view key, T fallback) const {
  const Value* value = node_->find(key);
  return value == nullptr ? std::move(fallback) : node_->convert_or_throw<T>(key, *value);
}

#define ZIMAGE_JSON_TYPE(...)                                 \
  template __VA_ARGS__ Json::get(std::string_view key) const; \
  template __VA_ARGS__ Json::get_or(std::string_view key, __VA_ARGS__ fallback) const
ZIMAGE_JSON_TYPE(bool);
ZIMAGE_JSON_TYPE(int);
ZIMAGE_JSON_TYPE(std::int64_t);
ZIMAGE_JSON_TYPE(float);
ZIMAGE_JSON_TYPE(double);
ZIMAGE_JSON_TYPE(std::string);
ZIMAGE_JSON_TYPE(std::vector<int>);
ZIMAGE_JSON_TYPE(std::vector<std::int64_t>);
ZIMAGE_JSON_TYPE(std::vector<float>);
ZIMAGE_JSON_TYPE(std::vector<std::string>);
ZIMAGE_JSON_TYPE(std::array<int, 3>);
#undef ZIMAGE_JSON_TYPE

Json Json::object(std::string_view key) const {
  const Value& value = node_->at(key);
  const Object* object = value.as<Object>();
  check(object != nullptr, node_->where, ": key ", printable(key), " is ", describe(value),
        ", expected an object");
  return Json(std::make_shared<const Node>(
      Node{node_->root, object, node_->where_of(key), node_->root_where_bytes}));
}

std::vector<Json> Json::objects(std::string_view key) const {
  const Value& value = node_->at(key);
  const Array* array = value.as<Array>();
  check(array != nullptr, node_->where, ": key ", printable(key), " is ", describe(value),
        ", expected an array of objects");
  std::vector<Json> objects;
  objects.reserve(array->size());
  for (std::size_t i = 0; i < array->size(); ++i) {
    const Object* object = (*array)[i].as<Object>();
    const std::string where = str(node_->where_of(key), "[", i, "]");
    check(object != nullptr, where, ": is ", describe((*array)[i]), ", expected an object");
    objects.push_back(Json(
        std::make_shared<const Node>(Node{node_->root, object, where, node_->root_where_bytes})));
  }
  return objects;
}

}  // namespace zimage
