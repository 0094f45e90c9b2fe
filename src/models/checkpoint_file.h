#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "core/tensor.h"
#include "io/mapped_file.h"

namespace zimage {

// A checkpoint file, .safetensors or .gguf by its first bytes, mapped and not read.
class CheckpointFile {
 public:
  struct Entry {
    Shape shape;  // of the numbers
    Dtype dtype;  // U8 in a format
    // GGUF's name of a type that no dtype stands for, whether it can be read or not.
    std::string format;
    std::uint64_t begin, bytes;  // in the file

    bool is_aligned() const { return begin % size_of(dtype) == 0; }
  };

  // Throws Error for what parse_safetensors_header() or parse_gguf_header() refuses, and for one of
  // several parts of a GGUF file.
  static CheckpointFile open(const std::filesystem::path& path);

  const std::map<std::string, Entry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }
  bool is_gguf() const { return is_gguf_; }

  // Plain numbers, or of a format the bytes: U8 [rows, bytes of a row], where all axes but the last
  // count as rows.
  Tensor tensor(const Entry& entry) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Entry> tensors_;
  std::map<std::string, std::string> metadata_;
  bool is_gguf_ = false;
};

// Whether the names of files end so.
bool is_checkpoint_name(const std::filesystem::path& path);

}  // namespace zimage
