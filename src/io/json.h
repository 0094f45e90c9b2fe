#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace zimage {

// A JSON object that knows where it came from, so that errors name the file and the key.
// Duplicate keys, invalid UTF-8, nesting beyond 64 levels and files above the limit are errors.
class Json {
 public:
  static Json parse_file(const std::filesystem::path& path,
                         std::size_t max_bytes = std::size_t{64} << 20);
  // `where` stands in messages for the place the text came from.
  static Json parse(std::string_view text, std::string where);

  const std::string& where() const;       // "transformer/config.json" or "... key rope_scaling"
  bool has(std::string_view key) const;   // present and not null
  std::vector<std::string> keys() const;  // of an object, in file order

  // Throws Error naming the file and the key when it is missing or of another type or range.
  // T: bool, int, std::int64_t, float, double, std::string,
  // std::vector<int|std::int64_t|float|std::string>, std::array<int, 3>. Integers must be integral
  // and fit; floats must be finite.
  template <class T>
  T get(std::string_view key) const;
  // `fallback` when the key is absent or null.
  template <class T>
  T get_or(std::string_view key, T fallback) const;

  Json object(std::string_view key) const;                // a nested object
  std::vector<Json> objects(std::string_view key) const;  // an array of objects

 private:
  struct Node;
  explicit Json(std::shared_ptr<const Node> node);
  std::shared_ptr<const Node> node_;
};

}  // namespace zimage
