#include "pipeline/memory.h"

#include <algorithm>
#include <iomanip>
#include <limits>
#include <sstream>

#include "core/check.h"
#include "core/log.h"
#include "models/layer_bytes.h"
#include "pipeline/activations.h"
#include "pipeline/system_memory.h"
#include "vae/tiles.h"

namespace zimage {
namespace {

// What the process grows by on the way, whatever it draws: code that runs for the first time,
// threads.
constexpr std::uint64_t kRuntimeBytes = std::uint64_t{48} << 20;

constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

bool is_of_vae_encoder(std::string_view name) {
  return name.starts_with("encoder.") || name.starts_with("quant_conv.");
}

// Not the tensors that a stage does not load, nor the embedding table, which is read row by row.
bool is_loaded(const MemoryRequest& r, std::string_view stage, std::string_view name) {
  if (stage == "vae decoder") return !is_of_vae_encoder(name);
  if (stage == "vae encoder") return is_of_vae_encoder(name);
  if (stage != "text encoder") return true;
  const std::string last_layer = str("layers.", r.text_encoder.num_hidden_layers - 1, ".");
  return name.find("embed_tokens.") == name.npos && name.find("lm_head.") == name.npos &&
         !name.starts_with(last_layer);
}

std::vector<StoredTensor> loaded_tensors(const MemoryRequest& r, std::string_view stage,
                                         const std::string& component) {
  std::vector<StoredTensor> loaded;
  for (StoredTensor& tensor : stored_tensors(r.snapshot, component)) {
    if (tensor.name.starts_with("model.")) tensor.name.erase(0, 6);
    if (is_loaded(r, stage, tensor.name)) loaded.push_back(std::move(tensor));
  }
  return loaded;
}

std::vector<StoredTensor> control_tensors(const MemoryRequest& r) {
  std::vector<StoredTensor> tensors = stored_tensors(*r.control_files);
  if (r.control->refiner == ControlNetConfig::Refiner::kControlLayers) {
    std::erase_if(tensors, [](const StoredTensor& tensor) {
      return tensor.name.starts_with("control_noise_refiner.");
    });
  }
  return tensors;
}

// Rows of the embedding table, each with the pages that the system maps around it.
std::uint64_t embedding_bytes(const MemoryRequest& r) {
  constexpr std::uint64_t kAround = 64 << 10;
  const std::uint64_t table = static_cast<std::uint64_t>(r.text_encoder.vocab_size) *
                              static_cast<std::uint64_t>(r.text_encoder.hidden_size) * 2;
  return std::min(table, static_cast<std::uint64_t>(r.tokens) * kAround);
}

// A stage before it is known how much of its weights can stay.
struct Need {
  StageMemory stage;
  LayerBytes weights, control;

  std::uint64_t fixed() const {
    return stage.base_bytes + stage.tensor_bytes + weights.fixed + control.fixed;
  }
  std::uint64_t largest() const { return std::max(weights.largest(), control.largest()); }
  std::uint64_t least() const { return fixed() + largest(); }
  std::uint64_t most() const {
    return fixed() + weights.total() - weights.fixed + control.total() - control.fixed;
  }
};

// The layers that fit into `room`, in order; takes them out of it.
struct Kept {
  int layers = 0;
  std::uint64_t bytes = 0, left_out = 0;
};
Kept keep(const std::vector<std::uint64_t>& layers, std::uint64_t& room) {
  Kept kept;
  for (const std::uint64_t bytes : layers) {
    if (kept.left_out > 0 || bytes > room) {
      kept.left_out += bytes;
      continue;
    }
    room -= bytes;
    kept.bytes += bytes;
    ++kept.layers;
  }
  return kept;
}

StageMemory fit(const Need& need, std::uint64_t limit) {
  StageMemory stage = need.stage;
  const bool all_stay = need.most() <= limit;
  std::uint64_t room = all_stay ? kAll : limit - need.least();
  const Kept kept = keep(need.weights.layers, room);
  const Kept control = keep(need.control.layers, room);
  stage.layers = static_cast<int>(need.weights.layers.size() + need.control.layers.size());
  stage.kept_layers = kept.layers + control.layers;
  stage.layer_bytes = all_stay ? kAll : kept.bytes;
  stage.control_layer_bytes = all_stay ? kAll : control.bytes;
  stage.read_bytes = kept.left_out + control.left_out;
  stage.weight_bytes = need.weights.fixed + need.control.fixed + kept.bytes + control.bytes +
                       (all_stay ? 0 : need.largest());
  return stage;
}

LayerBytes weights_of(const MemoryRequest& r, std::string_view stage, const std::string& component,
                      const std::vector<std::string_view>& lists) {
  return layer_bytes(loaded_tensors(r, stage, component), lists, r.compute, r.int8,
                     component == "transformer" ? r.adapters : nullptr);
}

StageMemory stage_named(const std::string& name) {
  return {.stage = name, .base_bytes = resident_memory() + kRuntimeBytes};
}

Need need_of_text_encoder(const MemoryRequest& r) {
  Need need{stage_named("text encoder"), {}, {}};
  need.weights = weights_of(r, need.stage.stage, "text_encoder", {"layers"});
  need.weights.fixed += embedding_bytes(r);
  need.stage.tensor_bytes = text_encoder_tensor_bytes(r.text_encoder, r.tokens, r.compute);
  return need;
}

// Tiles are as large as the limit allows, and none where the picture fits in one.
Need need_of_vae(const MemoryRequest& r, const std::string& stage, std::uint64_t limit) {
  const bool is_decoder = stage == "vae decoder";
  const auto tensor_bytes = is_decoder ? vae_decoder_tensor_bytes : vae_encoder_tensor_bytes;
  Need need{stage_named(stage), weights_of(r, stage, "vae", {}), {}};
  need.stage.tensor_bytes = tensor_bytes(r.vae, r.width, r.height, 0, r.compute);
  const int whole = std::max(r.width, r.height) / r.vae.scale();
  for (const int tile : {128, 96, 80, 64, 56, 48, 40, static_cast<int>(kSmallestTile)}) {
    if (need.least() <= limit) break;
    if (tile >= whole) continue;
    need.stage.tile = tile;
    need.stage.tensor_bytes = tensor_bytes(r.vae, r.width, r.height, tile, r.compute);
  }
  return need;
}

Need need_with_prompts(const MemoryRequest& r, int prompts) {
  const SequenceLength tokens(r.transformer, r.vae, r.width, r.height, r.tokens);
  Need need{stage_named("transformer"), {}, {}};
  need.weights = weights_of(r, need.stage.stage, "transformer",
                            {"noise_refiner", "layers", "context_refiner"});
  need.stage.prompts = prompts;
  need.stage.tensor_bytes = transformer_tensor_bytes(r.transformer, tokens, prompts, r.compute);
  if (r.adapters != nullptr)
    need.stage.tensor_bytes += adapter_tensor_bytes(r.transformer, tokens, prompts);
  if (r.control) {
    need.control =
        layer_bytes(control_tensors(r), {"control_noise_refiner", "control_layers"}, r.compute);
    need.stage.tensor_bytes += controlnet_tensor_bytes(r.transformer, tokens, prompts, r.compute);
  }
  return need;
}

// All prompts together, so that every weight is read and packed once, unless that would take the
// room of layers that could stay, or there is none.
Need need_of_transformer(const MemoryRequest& r, std::uint64_t limit) {
  const Need together = need_with_prompts(r, r.prompts);
  if (r.prompts == 1 || together.most() <= limit) return together;
  const Need one = need_with_prompts(r, 1);
  return one.most() <= limit || together.least() > limit ? one : together;
}

std::vector<Need> needs_of(const MemoryRequest& r, std::uint64_t limit) {
  std::vector<Need> needs{need_of_text_encoder(r)};
  if (r.has_image) needs.push_back(need_of_vae(r, "vae encoder", limit));
  needs.push_back(need_of_transformer(r, limit));
  needs.push_back(need_of_vae(r, "vae decoder", limit));
  return needs;
}

template <class Plan>
auto& stage_of(Plan& plan, std::string_view stage) {
  return *std::find_if(plan.stages.begin(), plan.stages.end(),
                       [&](const StageMemory& s) { return s.stage == stage; });
}

// What the prompts bound to a transformer (refined captions, rope tables) and the inputs of its
// control network take between pictures.
std::uint64_t bound_bytes(const MemoryRequest& r) {
  const SequenceLength tokens(r.transformer, r.vae, r.width, r.height, r.tokens);
  const std::int64_t prompt =
      tokens.caption * r.transformer.dim +
      (tokens.total() + tokens.image) * r.transformer.head_dim();  // the picture's tables, too
  const std::int64_t control = r.control ? tokens.image * r.transformer.dim : 0;
  return static_cast<std::uint64_t>(r.prompts * prompt + control) * sizeof(float);
}

// The transformer stays beside the decoder where there is room and something to gain: weights that
// are used in place are loaded in no time.
void keep_transformer(MemoryPlan& plan, const MemoryRequest& r, const Need& need,
                      std::uint64_t limit) {
  const StageMemory& transformer = plan.of("transformer");
  StageMemory& decoder = stage_of(plan, "vae decoder");
  const bool all_stay = transformer.kept_layers == transformer.layers;
  const std::uint64_t converted = need.weights.converted + need.control.converted;
  const bool is_work = converted > transformer.weight_bytes / 16;
  const std::uint64_t kept = transformer.weight_bytes + bound_bytes(r);
  const bool has_room = kept + decoder.bytes() <= limit;
  if (r.images == 1 || !all_stay || !is_work || !has_room) return;
  plan.keeps_transformer = true;
  decoder.base_bytes += kept;
}

}  // namespace

const StageMemory& MemoryPlan::of(std::string_view stage) const { return stage_of(*this, stage); }

std::uint64_t MemoryPlan::peak_bytes() const {
  std::uint64_t most = 0;
  for (const StageMemory& stage : stages) most = std::max(most, stage.bytes());
  return most;
}

MemoryPlan plan_memory(const MemoryRequest& r, std::uint64_t limit) {
  const std::vector<Need> needs = needs_of(r, limit);
  const Need& largest =
      *std::max_element(needs.begin(), needs.end(),
                        [](const Need& a, const Need& b) { return a.least() < b.least(); });
  check(largest.least() <= limit, "not enough memory: the ", largest.stage.stage,
        " needs at least ", gib(largest.least()), " for ", r.width, "x", r.height, " pixels in ",
        r.compute, ", ", gib(limit),
        r.is_limited ? " are allowed (--max-memory)" : " are available", "; a smaller picture",
        r.compute == Dtype::kF32 ? " or --dtype bf16" : "", " needs less");
  MemoryPlan plan;
  for (const Need& need : needs) plan.stages.push_back(fit(need, limit));
  keep_transformer(plan, r, needs[needs.size() - 2], limit);
  return plan;
}

void log_savings(const MemoryPlan& plan, int scale) {
  for (const StageMemory& stage : plan.stages) {
    if (stage.kept_layers < stage.layers) {
      log_info("memory: ", stage.kept_layers, " of ", stage.layers, " layers of the ", stage.stage,
               " stay, ", gib(stage.read_bytes), " are read at each pass");
    }
    if (stage.tile > 0) {
      log_info("memory: the ", stage.stage, " works in tiles of ", stage.tile * scale, " pixels");
    }
  }
}

std::string gib(std::uint64_t bytes) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(2) << static_cast<double>(bytes) / (1u << 30) << " GiB";
  return out.str();
}

std::uint64_t memory_limit(std::uint64_t max_memory) {
  const std::uint64_t left = available_memory(), held = resident_memory();
  const std::uint64_t all = left > kAll - held ? kAll : left + held;
  return max_memory == 0 ? all : std::min(max_memory, all);
}

}  // namespace zimage
