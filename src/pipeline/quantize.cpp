#include "zimage/quantize.h"

#include <cstring>
#include <utility>

#include "core/check.h"
#include "io/file.h"
#include "io/printable.h"
#include "io/safetensors.h"
#include "layers/module_name.h"
#include "models/resolve.h"
#include "models/transformer_names.h"
#include "pipeline/int8_choice.h"
#include "pipeline/quantizable.h"

namespace zimage {
namespace {

// One tensor of the result.
struct Target {
  std::string name;                // with its last word, "weight" or another
  std::vector<std::string> parts;  // of the source, one below the other
  Shape shape;
  bool is_int8 = false;
};

Shape shape_of(const WeightMap& weights, const std::vector<std::string>& parts) {
  Shape shape = *weights.shape_of(parts.front());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const Shape* part = weights.shape_of(parts[i]);
    check(part != nullptr, weights.where(), ": tensor ", parts[i], " is missing");
    check(part->rank() == 2 && shape.rank() == 2 && (*part)[1] == shape[1], weights.where(), ": ",
          parts[i], " is ", *part, ", expected the columns of ", shape);
    shape[0] += (*part)[0];
  }
  return shape;
}

std::vector<Target> targets_of(const WeightMap& weights, const Int8Policy& policy) {
  std::vector<Target> targets;
  for (auto& [name, parts] : original_names(weights.names())) {
    Target target{.name = std::move(name), .parts = std::move(parts), .shape = {}};
    target.shape = shape_of(weights, target.parts);
    // A fused weight has one format.
    target.is_int8 = true;
    for (const std::string& part : target.parts) {
      target.is_int8 &= policy.applies_to(part, *weights.shape_of(part));
    }
    targets.push_back(std::move(target));
  }
  return targets;
}

Tensor marker(int rotation) {
  const std::string text =
      rotation == 1 ? str(R"({"format": "int8_tensorwise"})")
                    : str(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": )",
                          rotation, "}");
  Tensor bytes = empty({static_cast<std::int64_t>(text.size())}, Dtype::kU8);
  std::memcpy(bytes.raw(), text.data(), text.size());
  return bytes;
}

class Int8Writer {
 public:
  Int8Writer(const WeightMap& weights, std::vector<Target> targets,
             const std::filesystem::path& path)
      : weights_(weights), targets_(std::move(targets)), file_(path, entries(), metadata()) {}

  // In the order of entries(): every tensor aligned to its elements.
  void run(const std::function<void(int, int)>& on_progress) {
    const int tensors = static_cast<int>(targets_.size());
    int done = 0;
    const auto count = [&] {
      if (on_progress) on_progress(++done, tensors);
    };
    std::vector<Tensor> scales;
    for (const Target& target : int8_targets()) {
      scales.push_back(write_int8(target));
      count();
    }
    for (const Tensor& scale : scales) file_.write(scale);
    for (const Target& target : targets_) {
      if (target.is_int8) continue;
      write_bf16(target);
      count();
    }
    for (const Target& target : int8_targets()) file_.write(marker(rotation_of(target)));
    weights_.check_intact();
    file_.commit();
  }

  static std::uint64_t bytes_of(const std::vector<Target>& targets) {
    std::uint64_t bytes = 0;
    for (const Target& t : targets) {
      const auto numbers = static_cast<std::uint64_t>(t.shape.numel());
      bytes += t.is_int8 ? numbers + 4 * static_cast<std::uint64_t>(t.shape[0]) + 512 : 2 * numbers;
    }
    return bytes + (1 << 20);  // the header
  }

 private:
  static int rotation_of(const Target& target) { return ops::int8_rotation(target.shape[1]); }
  static std::map<std::string, std::string> metadata() { return {{"format", "pt"}}; }

  std::vector<Target> int8_targets() const {
    std::vector<Target> result;
    for (const Target& target : targets_) {
      if (target.is_int8) result.push_back(target);
    }
    return result;
  }

  std::vector<SafetensorsWriter::Entry> entries() const {
    std::vector<SafetensorsWriter::Entry> entries;
    const auto int8 = int8_targets();
    for (const Target& t : int8) entries.push_back({t.name, Dtype::kI8, t.shape});
    for (const Target& t : int8) {
      entries.push_back({module_of(t.name) + ".weight_scale", Dtype::kF32, {t.shape[0], 1}});
    }
    for (const Target& t : targets_) {
      if (!t.is_int8) entries.push_back({t.name, Dtype::kBf16, t.shape});
    }
    for (const Target& t : int8) {
      entries.push_back(
          {module_of(t.name) + ".comfy_quant", Dtype::kU8, marker(rotation_of(t)).shape()});
    }
    return entries;
  }

  // Returns the scales, [out, 1].
  Tensor write_int8(const Target& target) {
    Tensor values, scales;
    for (const std::string& part : target.parts) {
      const WeightMatrix weight =
          WeightScope(weights_, Dtype::kBf16).product_weight(part, weights_.find(part)->shape());
      const ops::Int8Matrix& matrix = *weight.int8();
      check_finite(matrix.scales, part, weights_.where());
      values = values.defined() ? concat(values, matrix.values) : matrix.values;
      scales = scales.defined() ? concat(scales, matrix.scales) : matrix.scales;
    }
    file_.write(values);
    return scales.reshape({scales.numel(), 1});
  }

  void write_bf16(const Target& target) {
    Tensor values;
    for (const std::string& part : target.parts) {
      const Tensor piece =
          WeightScope(weights_, Dtype::kBf16).matrix(part, weights_.find(part)->shape());
      values = values.defined() ? concat(values, piece) : piece;
    }
    file_.write(values);
  }

  const WeightMap& weights_;
  std::vector<Target> targets_;
  SafetensorsWriter file_;
};

void check_output(const std::filesystem::path& output) {
  namespace fs = std::filesystem;
  check_usage(output.extension() == ".safetensors", "--output ", printable(output.string()),
              ": expected a name that ends with .safetensors");
  check(!fs::exists(fs::symlink_status(output)), printable(output.string()),
        " exists; expected a new file");
}

}  // namespace

void quantize_int8(const std::string& model, const std::filesystem::path& output,
                   const QuantizeOptions& options) {
  check_output(output);
  const Snapshot snapshot = resolve_model(model, options.model).snapshot;
  WeightMap weights = load_quantizable(snapshot, "transformer");
  const Int8Choice choice = choose_int8(snapshot, ComputeDtype::kInt8, options.keep, "--keep");
  weights.set_int8({.uses_stored = false, .quantizes = choice.policy.quantizes});
  std::vector<Target> targets = targets_of(weights, choice.policy);
  check_writable(output, Int8Writer::bytes_of(targets));
  Int8Writer(weights, std::move(targets), output).run(options.on_progress);
}

}  // namespace zimage
