#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "io/file.h"
#include "io/mapped_file.h"

namespace zimage {

// What the header of a .safetensors file says.
struct SafetensorsHeader {
  struct Entry {
    std::string name;  // any text; never to be used as a path
    Dtype dtype;
    Shape shape;
    std::uint64_t begin, end;  // bytes from data_begin
  };
  std::vector<Entry> tensors;  // in the order of their data
  std::map<std::string, std::string> metadata;
  std::uint64_t data_begin;  // bytes from the start of the file
};

// `bytes`: the file from its start, as far as it is at hand and at least to the end of the header;
// file_size: the whole file. `where` names it in messages. Throws Error for what SafetensorsFile
// refuses.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                           std::uint64_t file_size, const std::string& where);

// One .safetensors file, memory-mapped; tensors are read-only views that keep the mapping alive.
// Tensors that are not aligned to their element size in the file (old writers) are copies instead.
// Validation as in the reference library: header at most 100 MB and inside the file, a JSON object
// without duplicate names, known dtypes, shape x dtype size == data_offsets without overflow,
// offsets contiguous from 0 to the end of the file.
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::map<std::string, Tensor>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

// A file written tensor by tensor, so that they need not be in memory together. Nothing appears at
// `path` before commit().
class SafetensorsWriter {
 public:
  struct Entry {
    std::string name;
    Dtype dtype;
    Shape shape;
  };
  // Tensors follow each other in this order.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<Entry> entries,
                    const std::map<std::string, std::string>& metadata = {});
  // The next one; throws Error when its shape or dtype is another than announced.
  void write(const Tensor& tensor);
  void commit();  // after the last

 private:
  std::filesystem::path path_;
  std::vector<Entry> entries_;
  std::size_t written_ = 0;
  NewFile file_;
};

// Writes `path` by a temporary file and rename. Tensors are laid out by falling element size, then
// by name, so that all are aligned.
void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace zimage
