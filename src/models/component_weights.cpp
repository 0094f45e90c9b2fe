#include "models/component_weights.h"

#include <cmath>
#include <map>
#include <optional>

#include "core/check.h"
#include "io/printable.h"
#include "models/checkpoint_file.h"
#include "models/checkpoint_names.h"
#include "models/gguf_tensors.h"
#include "models/int8_tensors.h"
#include "models/mlx_tensors.h"
#include "ops/block_rows.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// The files of one component, perhaps among others.
struct Checkpoint {
  const std::vector<fs::path>& files;
  std::string component;
  std::string where;  // for messages
  std::vector<fs::path>
      manifest_folders;  // where one may be that tells of weights in MLX's formats
  std::string_view manifest_name;
};

// Read once the first such weight asks for it.
class Manifest {
 public:
  explicit Manifest(const Checkpoint& c) : c_(c) {}
  const std::optional<MlxManifest>& operator()() const {
    if (!manifest_) manifest_ = MlxManifest::find(c_.manifest_folders, c_.manifest_name);
    return *manifest_;
  }

 private:
  const Checkpoint& c_;
  mutable std::optional<std::optional<MlxManifest>> manifest_;
};

Checkpoint checkpoint_of(const std::vector<fs::path>& files, const std::string& component,
                         const std::string& where) {
  const fs::path folder = files.front().parent_path();
  return {files, component, where, {folder, folder.parent_path()}, kMlxManifest};
}

Checkpoint checkpoint_of(const Snapshot& snapshot, const std::string& component) {
  const auto& files = snapshot.weight_files(component);
  const fs::path folder = files.front().parent_path();
  const bool is_of_snapshot = folder == snapshot.root() / component;
  return checkpoint_of(files, component, (is_of_snapshot ? folder : files.front()).string());
}

Checkpoint control_checkpoint(const std::vector<fs::path>& files, const fs::path& folder) {
  return {files,
          std::string(kControlNetwork),
          (files.size() == 1 ? files.front() : folder).string(),
          {folder},
          kMlxControlManifest};
}

// Canonical names of what is in a checkpoint.
std::vector<TensorSource> sources_of(const std::set<std::string>& names, const Checkpoint& c) {
  ComponentLayout layout{.component = c.component,
                         .prefix = ""};  // if need be, errors name tensors
  if (c.component == kControlNetwork) return canonical_names(names, layout).tensors;
  for (ComponentLayout& found : find_components(names, c.where)) {
    if (found.component == c.component) layout = std::move(found);
  }
  return canonical_names(names, layout).tensors;
}

// Rows [part, part + 1) / parts.
Shape part_of(const Shape& shape, const TensorSource& source, const std::string& where) {
  if (source.parts == 1) return shape;
  check(shape.rank() > 0 && shape[0] % source.parts == 0, where, ": ", printable(source.stored),
        " is ", shape, ", expected a number of rows that ", source.parts, " divides");
  Shape part = shape;
  part[0] /= source.parts;
  return part;
}

Tensor part_of(const Tensor& tensor, const TensorSource& source, const std::string& where) {
  if (source.parts == 1) return tensor;
  const std::int64_t rows = part_of(tensor.shape(), source, where)[0];
  return tensor.slice(rows * source.part, rows * (source.part + 1));
}

// Pad tokens are [dim] in some checkpoints.
Shape with_two_axes(const std::string& name, const Shape& shape) {
  const bool is_pad = name == "x_pad_token" || name == "cap_pad_token";
  return is_pad && shape.rank() == 1 ? Shape{1, shape[0]} : shape;
}

float scale_value(const Tensor& scale, const std::string& name, const std::string& where) {
  check(scale.numel() == 1, where, ": ", printable(name), " is ", scale.shape(),
        ", expected one number; a scale for every row is not supported");
  const float value = ops::cast(scale, Dtype::kF32).data<float>()[0];
  check(std::isfinite(value), where, ": ", printable(name), " is ", value,
        ", expected a finite number");
  return value;
}

// Whether a tensor is the words of a weight in one of MLX's formats.
bool is_mlx(Dtype dtype, const TensorSource& source, const std::string& where) {
  if (dtype != Dtype::kU32) return false;
  check(!source.scale.empty(), where, ": ", printable(source.stored),
        " is U32 without a tensor of scales beside it, expected floating-point numbers or MLX's "
        "weights with both");
  return true;
}

// part_of(name): what the header says of a tensor.
template <class PartOf>
StoredMlx stored_mlx(const TensorSource& source, PartOf&& part_of, const Checkpoint& c) {
  StoredMlx stored{.header = {.words = part_of(source.stored), .scales = part_of(source.scale)},
                   .name = source.stored,
                   .component = c.component,
                   .where = c.where};
  if (!source.bias.empty()) stored.header.biases = part_of(source.bias);
  return stored;
}

// Throws Error for blocks that have a meaning of their own beside them, and for those of an unusual
// shape that would be large as numbers.
void check_blocks(const Shape& shape, const TensorSource& source, const std::string& where) {
  constexpr std::int64_t kMostNumbers = std::int64_t{1} << 26;
  check(source.scale.empty() && source.marker.empty(), where, ": ", printable(source.stored),
        " is in blocks with scales and has a tensor of scales beside it, expected one of both");
  check(shape.rank() == 2 || (source.parts == 1 && shape.numel() <= kMostNumbers), where, ": ",
        printable(source.stored), " is ", shape, " in blocks, expected a matrix");
}

struct Found {
  CheckpointFile::Entry entry;
  Tensor tensor;  // as CheckpointFile gives it
  std::string file;
};

// The tensors of a checkpoint and what each is in the files.
class Loader {
 public:
  explicit Loader(const Checkpoint& checkpoint) : c_(checkpoint), weights_(checkpoint.where) {}

  WeightMap load() {
    std::set<std::string> names;
    for (const fs::path& path : c_.files) open(path, names);
    for (const TensorSource& source : sources_of(names, c_)) add(source);
    return std::move(weights_);
  }

 private:
  void open(const fs::path& path, std::set<std::string>& names) {
    const CheckpointFile file = CheckpointFile::open(path);
    const std::string file_name = path.filename().string();
    for (const auto& [name, entry] : file.tensors()) {
      const auto [it, is_new] =
          stored_.try_emplace(name, Found{entry, file.tensor(entry), file_name});
      check(is_new, c_.where, ": tensor ", printable(name), " is in ", printable(file_name),
            " and again in ", printable(it->second.file), "; a checkpoint holds each name once");
      names.insert(name);
    }
    weights_.keep(file.file());
  }

  // Undefined for no name.
  Tensor tensor_of(const std::string& name) const {
    return name.empty() ? Tensor() : stored_.at(name).tensor;
  }
  Tensor part_of(const std::string& name, const TensorSource& source) const {
    const Tensor tensor = tensor_of(name);
    return tensor.defined() ? zimage::part_of(tensor, source, c_.where) : tensor;
  }

  void add(const TensorSource& source) {
    const auto& [entry, tensor, file] = stored_.at(source.stored);
    const bool is_alone = source.scale.empty() && source.marker.empty();
    if (!entry.format.empty()) {
      add_blocks(source);
    } else if (tensor.dtype() == Dtype::kI8 && !is_alone) {
      weights_.add_int8(source.name, int8(source), file);
    } else if (is_mlx(tensor.dtype(), source, c_.where)) {
      weights_.add_rows(source.name, mlx(source), file);
    } else {
      const Tensor scale = tensor_of(source.scale), part = part_of(source.stored, source);
      weights_.add(source.name, part.reshape(with_two_axes(source.name, part.shape())), file,
                   scale.defined() ? scale_value(scale, source.scale, c_.where) : 1);
    }
  }

  // A matrix stays as it is.
  void add_blocks(const TensorSource& source) {
    const auto& [entry, tensor, file] = stored_.at(source.stored);
    const ops::BlockFormat* const format = ops::find_block_format(entry.format);
    if (format == nullptr) {  // nothing may ask for it
      const Shape shape = zimage::part_of(entry.shape, source, c_.where);
      weights_.add_unreadable(source.name,
                              {with_two_axes(source.name, shape), entry.format,
                               unreadable_type(entry.format, source.stored, c_.where)},
                              file);
      return;
    }
    check_blocks(entry.shape, source, c_.where);
    if (entry.shape.rank() == 2) {
      const Shape shape = zimage::part_of(entry.shape, source, c_.where);
      const Tensor part = part_of(source.stored, source);
      weights_.add_rows(source.name, ops::block_rows(part, shape, *format), file);
    } else {
      const Shape shape{tensor.dim(0), entry.shape[-1]};
      const Tensor values = ops::decoded(*ops::block_rows(tensor, shape, *format), Dtype::kF32);
      weights_.add(source.name, values.reshape(with_two_axes(source.name, entry.shape)), file);
    }
  }

  ops::Int8Matrix int8(const TensorSource& source) const {
    const auto matrix = int8_matrix({tensor_of(source.stored), tensor_of(source.scale),
                                     tensor_of(source.marker), source.stored, c_.where});
    return {zimage::part_of(matrix.values, source, c_.where),
            zimage::part_of(matrix.scales, source, c_.where), matrix.rotation};
  }

  std::shared_ptr<const ops::WeightRows> mlx(const TensorSource& source) const {
    const auto header = [&](const Tensor& t) { return ops::MlxHeader::Part{t.shape(), t.dtype()}; };
    const StoredMlx stored = stored_mlx(
        source, [&](const std::string& name) { return header(tensor_of(name)); }, c_);
    return ops::mlx_rows({part_of(source.stored, source), part_of(source.scale, source),
                          part_of(source.bias, source), mlx_format(stored, manifest_())});
  }

  const Checkpoint& c_;
  const Manifest manifest_{c_};
  WeightMap weights_;
  std::map<std::string, Found> stored_;
};

// By the headers of the files.
class HeaderReader {
 public:
  explicit HeaderReader(const Checkpoint& checkpoint) : c_(checkpoint) {}

  std::vector<StoredTensor> read() {
    std::set<std::string> names;
    for (const fs::path& path : c_.files) open(path, names);
    std::vector<StoredTensor> tensors;
    for (const TensorSource& source : sources_of(names, c_)) tensors.push_back(tensor(source));
    return tensors;
  }

  // Under their names in the file, a fused one once.
  std::map<std::string, StoredTensor> read_stored(const CheckpointFile& file,
                                                  const std::vector<TensorSource>& sources) {
    add(file);
    std::map<std::string, StoredTensor> tensors;
    for (TensorSource source : sources) {
      source.part = 0;
      source.parts = 1;
      const auto [it, is_new] = tensors.insert(*stored_.find(source.stored));
      if (is_new && it->second.dtype == Dtype::kU32 && !source.scale.empty()) {
        as_mlx(it->second, source);
      }
    }
    return tensors;
  }

 private:
  void open(const fs::path& path, std::set<std::string>& names) {
    const CheckpointFile file = CheckpointFile::open(path);
    add(file);
    for (const auto& [name, entry] : file.tensors()) names.insert(name);
  }

  void add(const CheckpointFile& file) {
    for (const auto& [name, entry] : file.tensors()) {
      stored_.insert({name, stored_tensor(name, entry)});
    }
  }

  StoredTensor tensor(const TensorSource& source) const {
    StoredTensor tensor = stored_.at(source.stored);
    tensor.name = source.name;
    tensor.bytes /= static_cast<std::uint64_t>(source.parts);
    if (!tensor.format.empty()) {
      as_blocks(tensor, source);
    } else if (is_mlx(tensor.dtype, source, c_.where)) {
      as_mlx(tensor, source);
    } else {
      tensor.is_scaled = !source.scale.empty();
    }
    tensor.shape = part_of(tensor.shape, source, c_.where);
    return tensor;
  }

  void as_blocks(StoredTensor& tensor, const TensorSource& source) const {
    if (ops::find_block_format(tensor.format) == nullptr) return;
    check_blocks(tensor.shape, source, c_.where);
    if (tensor.shape.rank() == 2) return;
    tensor.format = "";  // becomes a copy in f32
    tensor.dtype = Dtype::kF32;
    tensor.is_aligned = false;
  }

  void as_mlx(StoredTensor& tensor, const TensorSource& source) const {
    std::uint64_t bytes = 0;
    const StoredMlx stored = stored_mlx(
        source,
        [&](const std::string& name) {
          const StoredTensor& part = stored_.at(name);
          bytes += static_cast<std::uint64_t>(part.shape.numel()) * size_of(part.dtype);
          tensor.is_aligned &= part.is_aligned;
          return ops::MlxHeader::Part{part.shape, part.dtype};
        },
        c_);
    const ops::MlxFormat format = mlx_format(stored, manifest_());
    tensor.shape = shape_of(stored.header, format);
    tensor.format = name_of(format);
    tensor.bytes = bytes / static_cast<std::uint64_t>(source.parts);
  }

  const Checkpoint& c_;
  const Manifest manifest_{c_};
  std::map<std::string, StoredTensor> stored_;
};

}  // namespace

StoredTensor stored_tensor(const std::string& name, const CheckpointFile::Entry& entry) {
  return {.name = name,
          .dtype = entry.dtype,
          .shape = entry.shape,
          .is_aligned = entry.is_aligned(),
          .is_scaled = false,
          .format = entry.format,
          .bytes = entry.bytes};
}

WeightMap load_weights(const Snapshot& snapshot, const std::string& component) {
  return Loader(checkpoint_of(snapshot, component)).load();
}

WeightMap load_control_weights(const std::vector<fs::path>& files, const fs::path& folder) {
  return Loader(control_checkpoint(files, folder)).load();
}

std::vector<StoredTensor> stored_tensors(const Snapshot& snapshot, const std::string& component) {
  return HeaderReader(checkpoint_of(snapshot, component)).read();
}

std::map<std::string, StoredTensor> stored_tensors(const CheckpointFile& file, const fs::path& path,
                                                   const std::string& component,
                                                   const std::vector<TensorSource>& sources) {
  const std::vector<fs::path> files{path};
  const Checkpoint checkpoint = component == kControlNetwork
                                    ? control_checkpoint(files, path.parent_path())
                                    : checkpoint_of(files, component, path.string());
  return HeaderReader(checkpoint).read_stored(file, sources);
}

std::vector<StoredTensor> stored_control_tensors(const std::vector<fs::path>& files,
                                                 const fs::path& folder) {
  return HeaderReader(control_checkpoint(files, folder)).read();
}

}  // namespace zimage
