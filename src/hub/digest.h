#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace zimage::hub {

// The hash that names a file on the hub: sha256 of large files, git's blob sha1 of small ones.
class Digest {
 public:
  // size: of the whole file, which git hashes along.
  Digest(bool is_lfs, std::uint64_t size);
  void update(std::span<const std::byte> bytes);
  std::string hex();  // once, at the end

 private:
  std::shared_ptr<void> context_;
};

// Whether text is a hash or commit of so many hexadecimal digits, in lower case.
bool is_hex(const std::string& text, std::size_t length);

}  // namespace zimage::hub
