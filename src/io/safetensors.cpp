#include "io/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "io/file.h"
#include "io/mapped_tensor.h"
#include "io/printable.h"

namespace zimage {
namespace {

constexpr std::size_t kMaxHeaderBytes = 100'000'000;

using Item = std::pair<const std::string, Tensor>;

std::vector<const Item*> in_file_order(const std::map<std::string, Tensor>& tensors) {
  std::vector<const Item*> items;
  for (const Item& item : tensors) items.push_back(&item);
  std::stable_sort(items.begin(), items.end(), [](const Item* a, const Item* b) {
    return size_of(a->second.dtype()) > size_of(b->second.dtype());
  });
  return items;
}

std::uint64_t bytes_of(const SafetensorsWriter::Entry& entry) {
  return static_cast<std::uint64_t>(entry.shape.numel()) * size_of(entry.dtype);
}

std::string text_of(const SafetensorsWriter::Entry& entry, std::uint64_t begin) {
  const auto dims = entry.shape.dims();
  const nlohmann::ordered_json json = {
      {"dtype", name_of(entry.dtype)},
      {"shape", std::vector<std::int64_t>(dims.begin(), dims.end())},
      {"data_offsets", {begin, begin + bytes_of(entry)}}};
  return str(nlohmann::json(entry.name).dump(), ':', json.dump());
}

std::string header_of(const std::vector<SafetensorsWriter::Entry>& entries,
                      const std::map<std::string, std::string>& metadata,
                      const std::string& where) {
  std::string text = "{";
  std::uint64_t offset = 0;
  try {
    if (!metadata.empty()) text += str("\"__metadata__\":", nlohmann::json(metadata).dump());
    for (const auto& entry : entries) {
      check(entry.name != "__metadata__", where, ": a tensor cannot be called __metadata__");
      text += str(text.size() > 1 ? "," : "", text_of(entry, offset));
      offset += bytes_of(entry);
    }
  } catch (const nlohmann::json::type_error&) {
    throw Error(str(where, ": a tensor name or the metadata is no valid UTF-8"));
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  check(text.size() <= kMaxHeaderBytes, where, ": the header would have ", text.size(),
        " bytes, expected at most ", kMaxHeaderBytes);
  return text;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile result;
  result.file_ = MappedFile::open(path);
  const auto bytes = result.file_->bytes();
  SafetensorsHeader header = parse_safetensors_header(bytes, bytes.size(), shown(path));
  for (auto& entry : header.tensors) {
    Tensor view =
        tensor_in(result.file_, header.data_begin + entry.begin, entry.shape, entry.dtype);
    result.tensors_.emplace(std::move(entry.name), std::move(view));
  }
  result.metadata_ = std::move(header.metadata);
  return result;
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<Entry> entries,
                                     const std::map<std::string, std::string>& metadata)
    : path_(path), entries_(std::move(entries)), file_(path) {
  const std::string header = header_of(entries_, metadata, shown(path));
  const std::uint64_t header_bytes = header.size();
  file_.write(std::as_bytes(std::span(&header_bytes, 1)));
  file_.write(std::as_bytes(std::span(header)));
}

void SafetensorsWriter::write(const Tensor& tensor) {
  check(written_ < entries_.size(), shown(path_), ": more tensors than announced");
  const Entry& entry = entries_[written_++];
  check(tensor.defined() && tensor.shape() == entry.shape && tensor.dtype() == entry.dtype,
        shown(path_), ": tensor ", printable(entry.name), " is another than announced, expected ",
        entry.shape, " ", entry.dtype);
  file_.write({tensor.raw(), tensor.bytes()});
}

void SafetensorsWriter::commit() {
  check(written_ == entries_.size(), shown(path_), ": ", written_, " tensors written, ",
        entries_.size(), " announced");
  file_.commit();
}

void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsWriter::Entry> entries;
  const std::vector<const Item*> items = in_file_order(tensors);
  for (const Item* item : items) {
    const auto& [name, tensor] = *item;
    check(tensor.defined(), shown(path), ": tensor ", printable(name), " is undefined");
    entries.push_back({name, tensor.dtype(), tensor.shape()});
  }
  SafetensorsWriter writer(path, std::move(entries), metadata);
  for (const Item* item : items) writer.write(item->second);
  writer.commit();
}

}  // namespace zimage
