#include "models/checkpoint_file.h"

#include <optional>
#include <utility>

#include "core/check.h"
#include "io/gguf.h"
#include "io/mapped_tensor.h"
#include "io/printable.h"
#include "io/safetensors.h"

namespace zimage {
namespace {

constexpr std::string_view kPartsKey = "split.count";

// Those that need no format of their own.
std::optional<Dtype> plain_dtype(std::string_view type) {
  if (type == "F32") return Dtype::kF32;
  if (type == "F16") return Dtype::kF16;
  if (type == "BF16") return Dtype::kBf16;
  if (type == "F64") return Dtype::kF64;
  return {};
}

CheckpointFile::Entry entry_of(const GgufHeader& header, const GgufHeader::Entry& t) {
  const std::string type = t.type == nullptr ? str("type ", t.type_id) : std::string(t.type->name);
  const std::optional<Dtype> plain = plain_dtype(type);
  return {.shape = t.shape,
          .dtype = plain.value_or(Dtype::kU8),
          .format = plain ? "" : type,
          .begin = header.data_begin + t.begin,
          .bytes = t.end - t.begin};
}

}  // namespace

CheckpointFile CheckpointFile::open(const std::filesystem::path& path) {
  CheckpointFile result;
  result.file_ = MappedFile::open(path);
  const auto bytes = result.file_->bytes();
  result.is_gguf_ = zimage::is_gguf(bytes);
  if (!result.is_gguf_) {
    SafetensorsHeader header = parse_safetensors_header(bytes, bytes.size(), shown(path));
    for (const auto& t : header.tensors) {
      result.tensors_.insert(
          {t.name, {t.shape, t.dtype, "", header.data_begin + t.begin, t.end - t.begin}});
    }
    result.metadata_ = std::move(header.metadata);
    return result;
  }
  GgufHeader header = parse_gguf_header(bytes, shown(path));
  const auto parts = header.metadata.find(std::string(kPartsKey));
  const bool is_whole =
      parts == header.metadata.end() || parts->second == "0" || parts->second == "1";
  check(is_whole, shown(path), ": is one of ", is_whole ? "" : printable(parts->second), " parts (",
        kPartsKey, "), expected a whole file; llama-gguf-split --merge makes one");
  for (const auto& t : header.tensors) result.tensors_.insert({t.name, entry_of(header, t)});
  result.metadata_ = std::move(header.metadata);
  return result;
}

Tensor CheckpointFile::tensor(const Entry& entry) const {
  if (entry.format.empty()) return tensor_in(file_, entry.begin, entry.shape, entry.dtype);
  const std::int64_t rows = entry.shape.numel() / entry.shape[-1];
  return tensor_in(file_, entry.begin, {rows, static_cast<std::int64_t>(entry.bytes) / rows},
                   entry.dtype);
}

bool is_checkpoint_name(const std::filesystem::path& path) {
  return path.extension() == ".safetensors" || path.extension() == ".gguf";
}

}  // namespace zimage
