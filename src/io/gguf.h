#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/shape.h"

namespace zimage {

// A type of numbers that a GGUF file may name: blocks of some numbers in some bytes. Source of the
// list: GGML's enumeration of types, without those that were removed.
struct GgufType {
  std::uint32_t id;
  std::string_view name;
  std::int64_t block_size;  // numbers
  std::int64_t block_bytes;
};
// Null for an id that no type has.
const GgufType* gguf_type(std::uint32_t id);

// What comes before the data in a .gguf file of version 2 or 3, little-endian.
struct GgufHeader {
  struct Entry {
    std::string name;  // any text; never to be used as a path
    std::uint32_t type_id;
    const GgufType* type;      // null where no type that is known has the id
    Shape shape;               // outermost axis first, other than in the file
    std::uint64_t begin, end;  // bytes from data_begin; up to the next one if the type is not known
  };
  std::vector<Entry> tensors;  // in the order of their data
  // Text as it is, numbers as text, arrays as "[N x TYPE]".
  std::map<std::string, std::string> metadata;
  std::uint64_t data_begin;  // bytes from the start of the file
};

// Whether a file begins as GGUF files do.
bool is_gguf(std::span<const std::byte> bytes);

// `bytes`: the whole file; `where` names it in messages. Throws Error, naming the place, unless:
// every count and length is inside the file, keys and tensor names are new, array elements are no
// arrays, the alignment is a power of two from 8 to 65536, axes are 1 to 4 and not empty, rows of a
// type that is known are whole blocks, and tensors are aligned, inside the file and apart. Takes
// time and memory in proportion to the header.
GgufHeader parse_gguf_header(std::span<const std::byte> bytes, const std::string& where);

}  // namespace zimage
