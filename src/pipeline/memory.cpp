#include "pipeline/memory.h"

#include <algorithm>
#include <fstream>
#include <iomanip>
#include <limits>
#include <sstream>

#include "core/check.h"
#include "models/component_weights.h"

namespace zimage {
namespace {

bool is_of_vae_encoder(const std::string& name) {
  return name.starts_with("encoder.") || name.starts_with("quant_conv.");
}

// Not the tensors that the stage does not load, nor the embedding table, which is read row by row.
bool is_resident(const MemoryRequest& r, const std::string& stage, const std::string& name) {
  if (stage == "vae") return !is_of_vae_encoder(name);
  if (stage == "vae encoder") return is_of_vae_encoder(name);
  if (stage != "text encoder") return true;
  const std::string last_layer = str("layers.", r.text_encoder.num_hidden_layers - 1, ".");
  return name.find("embed_tokens.") == name.npos && name.find("lm_head.") == name.npos &&
         name.find(last_layer) == name.npos;
}

// Weights that need memory of their own: those of another dtype, and those that lie in the file so
// that they cannot be used in place.
std::uint64_t converted_bytes(const MemoryRequest& r, const std::string& stage,
                              const std::string& component) {
  std::uint64_t bytes = 0;
  for (const StoredTensor& tensor : stored_tensors(r.snapshot, component)) {
    // Those of other stages in the same file are copied too where they are not aligned.
    const Dtype dtype = is_resident(r, stage, tensor.name) ? r.compute : tensor.dtype;
    bytes += own_bytes(tensor, dtype);
  }
  return bytes;
}

// Live at once in a block: residual stream, attention and FFN branches.
std::uint64_t block_bytes(std::uint64_t tokens, std::uint64_t dim, std::uint64_t ffn,
                          std::uint64_t element) {
  const std::uint64_t stream = 3 * dim * sizeof(float);
  const std::uint64_t attention = 5 * dim * element;
  const std::uint64_t feed_forward = 3 * ffn * element + dim * sizeof(float);
  return tokens * (stream + std::max(attention, feed_forward));
}

// Of the control network while a block of the transformer runs: its inputs embedded, its own
// tokens, and the hint that is next.
std::uint64_t control_bytes(std::uint64_t tokens, std::uint64_t dim) {
  return 3 * tokens * dim * sizeof(float);
}

std::uint64_t vae_bytes(const VaeConfig& vae, std::uint64_t pixels, std::uint64_t element) {
  // The last stage's first resnet: its input at the channels of the stage before, and its branches.
  const auto& channels = vae.block_out_channels;
  const auto before =
      static_cast<std::uint64_t>(channels[std::min<std::size_t>(1, channels.size() - 1)]);
  return pixels * element * (2 * before + static_cast<std::uint64_t>(channels.front())) +
         pixels * 3 * sizeof(float);
}

// The first stage's first resnet: its input, that normalised, and the first convolution's output.
std::uint64_t vae_encoder_bytes(const VaeConfig& vae, std::uint64_t pixels, std::uint64_t element) {
  const auto channels = static_cast<std::uint64_t>(vae.block_out_channels.front());
  return pixels * element * 3 * channels + pixels * 3 * sizeof(float);
}

std::string gib(std::uint64_t bytes) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(2) << static_cast<double>(bytes) / (1u << 30) << " GiB";
  return out.str();
}

constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();

// The value of `key` in a file of "key value" lines, or with an empty key the only number in it.
std::uint64_t read_number(const char* path, const std::string& key = "") {
  std::ifstream file(path);
  std::uint64_t value = kUnknown;
  if (key.empty()) return file >> value ? value : kUnknown;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string name;
    if (fields >> name >> value && name == key) return value;
  }
  return kUnknown;
}

// What the control group may still take; cached file pages count as free. kUnknown without a limit.
std::uint64_t cgroup_memory() {
  const std::uint64_t limit = read_number("/sys/fs/cgroup/memory.max");  // "max" is no number
  const std::uint64_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  const std::uint64_t files = read_number("/sys/fs/cgroup/memory.stat", "file");
  const std::uint64_t held = used - std::min(used, files == kUnknown ? 0 : files);
  return limit - std::min(limit, held);
}

}  // namespace

std::vector<StageMemory> estimate_memory(const MemoryRequest& r) {
  const std::uint64_t element = size_of(r.compute);
  const auto pixels = static_cast<std::uint64_t>(r.width) * static_cast<std::uint64_t>(r.height);
  const auto unit = static_cast<std::uint64_t>(r.vae.scale()) *
                    static_cast<std::uint64_t>(r.transformer.patch_size);
  const auto prompt = static_cast<std::uint64_t>(r.tokens);
  const std::uint64_t tokens = pixels / (unit * unit) + prompt + 64;  // both parts are padded to 32
  const std::uint64_t rows = tokens * static_cast<std::uint64_t>(r.prompts);
  const auto stage = [&](const std::string& name, const std::string& component,
                         std::uint64_t tensor_bytes) {
    return StageMemory{name, converted_bytes(r, name, component), tensor_bytes};
  };
  std::vector<StageMemory> stages{stage(
      "text encoder", "text_encoder",
      block_bytes(prompt, r.text_encoder.hidden_size, r.text_encoder.intermediate_size, element))};
  if (r.has_image) {
    stages.push_back(stage("vae encoder", "vae", vae_encoder_bytes(r.vae, pixels, element)));
  }
  stages.push_back(stage("transformer", "transformer",
                         block_bytes(rows, r.transformer.dim, r.transformer.ffn_dim(), element)));
  if (r.has_control) {
    stages.back().weight_bytes += r.control_weight_bytes;
    stages.back().tensor_bytes += control_bytes(rows, r.transformer.dim);
  }
  stages.push_back(stage("vae", "vae", vae_bytes(r.vae, pixels, element)));
  return stages;
}

std::uint64_t available_memory() {
  const std::uint64_t kib = read_number("/proc/meminfo", "MemAvailable:");
  return std::min(kib == kUnknown ? kUnknown : kib * 1024, cgroup_memory());
}

bool is_enough(const MemoryRequest& request, std::uint64_t available) {
  const auto stages = estimate_memory(request);
  return std::all_of(stages.begin(), stages.end(),
                     [&](const StageMemory& stage) { return stage.bytes() <= available; });
}

void check_memory(const MemoryRequest& request) {
  const std::uint64_t available = available_memory();
  for (const StageMemory& stage : estimate_memory(request)) {
    check(stage.bytes() <= available, "not enough memory: the ", stage.stage, " needs about ",
          gib(stage.bytes()), " for ", request.width, "x", request.height, " pixels in ",
          request.compute, ", ", gib(available), " are available; a smaller picture",
          request.compute == Dtype::kF32 ? " or --dtype bf16" : "", " needs less");
  }
}

}  // namespace zimage
