// Files in the GGUF format, sound or not.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/shape.h"

namespace zimage {

template <class T>
std::string bytes_of(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string gguf_text(std::string_view text) {
  return bytes_of(std::uint64_t{text.size()}) + std::string(text);
}

class GgufWriter {
 public:
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;

  // value: the type of the value and its bytes.
  void key(std::string_view name, std::uint32_t type, const std::string& value) {
    keys_ += gguf_text(name) + bytes_of(type) + value;
    ++key_count_;
  }
  void text_key(std::string_view name, std::string_view text) { key(name, 8, gguf_text(text)); }

  // shape: outermost axis first.
  void tensor(std::string_view name, std::uint32_t type, const Shape& shape,
              const std::string& data) {
    tensors_ += gguf_text(name) + bytes_of(static_cast<std::uint32_t>(shape.rank()));
    for (int i = shape.rank() - 1; i >= 0; --i) tensors_ += bytes_of(shape[i]);
    tensors_ += bytes_of(type) + bytes_of(std::uint64_t{data_.size()});
    data_ += data;
    pad(data_);
    ++tensor_count_;
  }

  std::string file() const {
    std::string file = header();
    pad(file);
    return file + data_;
  }
  std::string header() const {
    return "GGUF" + bytes_of(version) + bytes_of(tensor_count_) + bytes_of(key_count_) + keys_ +
           tensors_;
  }
  void save(const std::string& path) const { std::ofstream(path, std::ios::binary) << file(); }

 private:
  void pad(std::string& bytes) const {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
  }

  std::string keys_, tensors_, data_;
  std::uint64_t key_count_ = 0, tensor_count_ = 0;
};

}  // namespace zimage
