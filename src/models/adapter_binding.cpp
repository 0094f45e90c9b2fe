#include "models/adapter_binding.h"

#include <algorithm>
#include <set>

#include "core/check.h"
#include "io/printable.h"
#include "models/listed_names.h"

namespace zimage {
namespace {

constexpr std::size_t kShownNames = 4, kShownBytes = 100;  // of a name

// Some checkpoints count an activation before the only layer of the modulation, some do not.
std::string other_modulation(const std::string& module) {
  for (const auto& [from, to] : {std::pair{"adaLN_modulation.1", "adaLN_modulation.0"},
                                 std::pair{"adaLN_modulation.0", "adaLN_modulation.1"}}) {
    const std::string_view ending = from;
    if (module.ends_with(ending)) return module.substr(0, module.size() - ending.size()) + to;
  }
  return module;
}

void count(const AdapterChange& change, AppliedAdapter& result) {
  ++result.kinds[change.kind];
  if (change.rank == 0) return;
  result.largest_rank = std::max(result.largest_rank, change.rank);
  result.smallest_rank =
      result.smallest_rank == 0 ? change.rank : std::min(result.smallest_rank, change.rank);
}

Tensor some_rows(const Tensor& x, std::int64_t begin, std::int64_t end) {
  return x.defined() ? x.slice(begin, end) : x;
}

bool is_bare_out(const std::string& module) {
  return module.ends_with(".out") || module.ends_with("_attention_out");
}

bool is_of_weight(AdapterPart part) {
  return part != AdapterPart::kAlpha && part != AdapterPart::kMagnitude &&
         part != AdapterPart::kUpBias && part != AdapterPart::kDiffBias;
}

bool changes_weight(const AdapterModule& module) {
  return std::any_of(module.parts.begin(), module.parts.end(),
                     [](const auto& part) { return is_of_weight(part.first); });
}

// Some trainers write a change of q, k and v together as well as one of each, and "out" beside
// "to_out.0". The finer names count, as for diffusers, where they are the model's. Gives the
// others.
template <class IsOfModel>
std::set<std::string> repeated_modules(const AdapterFile& file, const IsOfModel& is_of_model) {
  struct Coarse {
    std::string name;
    std::vector<std::string> modules;
  };
  std::vector<Coarse> coarse;
  std::set<std::string> finer;  // of the model
  for (const AdapterModule& module : file.modules) {
    const auto target = adapter_target(module.name);
    if (!target || target->modules.empty() || !changes_weight(module)) continue;
    if (target->modules.size() > 1 || is_bare_out(module.name)) {
      coarse.push_back({module.name, target->modules});
    } else if (is_of_model(module, *target)) {
      finer.insert(target->modules.front());
    }
  }
  std::set<std::string> result;
  for (const auto& [name, modules] : coarse) {
    const bool is_repeated = std::all_of(
        modules.begin(), modules.end(), [&](const auto& module) { return finer.contains(module); });
    if (is_repeated) result.insert(name);
  }
  return result;
}

class Binding {
 public:
  Binding(const AdapterFile& file, const ModuleShapes& model, float scale, AdapterSet& set)
      : file_(file), model_(model), scale_(scale), set_(set) {}

  AppliedAdapter bind() {
    const auto repeated =
        repeated_modules(file_, [&](const AdapterModule& module, const AdapterTarget& target) {
          const Places places = places_of(target);
          if (places.modules.empty() || !target.is_ambiguous) return !places.modules.empty();
          return fits(read_change(module, file_.settings, file_.where), places.shape);
        });
    for (const AdapterModule& module : file_.modules) {
      if (repeated.count(module.name) == 0) bind(module);
    }
    result_.repeated.assign(repeated.begin(), repeated.end());
    result_.modules = static_cast<int>(file_.modules.size());
    for (const std::string& name : file_.other_tensors) result_.unmatched.push_back(name);
    return std::move(result_);
  }

 private:
  struct Places {
    std::vector<std::string> modules;
    Shape shape;  // of all of them below each other
  };

  // Empty where the model lacks one.
  Places places_of(const AdapterTarget& target) const {
    Places places;
    for (const std::string& name : target.modules) {
      auto it = model_.find(name);
      if (it == model_.end()) it = model_.find(other_modulation(name));
      if (it == model_.end()) return {};
      places.modules.push_back(it->first);
      if (places.modules.size() == 1) {
        places.shape = it->second;
      } else {
        if (it->second.rank() != places.shape.rank()) return {};
        places.shape[0] += it->second[0];
      }
    }
    return places;
  }

  static bool fits(const AdapterChange& change, const Shape& shape) {
    if (change.shape.rank() != shape.rank()) return false;
    if (shape.rank() == 2 && change.shape[1] == 0) return change.shape[0] == shape[0];
    return change.shape == shape;
  }

  void bind(const AdapterModule& module) {
    const auto target = adapter_target(module.name);
    const bool is_of_text_encoder = target && target->kind == AdapterTarget::Kind::kTextEncoder;
    const Places places = target && !is_of_text_encoder ? places_of(*target) : Places();
    if (places.modules.empty()) return leave_out(module, is_of_text_encoder);
    const AdapterChange change = read_change(module, file_.settings, file_.where);
    const bool is_fitting = fits(change, places.shape);
    if (!is_fitting && target->is_ambiguous) return leave_out(module, true);
    check(is_fitting, file_.where, ": ", printable(module.name), " changes a weight ", change.shape,
          ", but ", places.modules.front(),
          places.modules.size() > 1 ? " with those beside it" : "", " is ", places.shape,
          "; the adapter is for another model");
    for (const std::string& name : places.modules) {
      if (changes_weight(module)) take(module.name, name, "weight");
      if (change.adapter.bias.defined()) take(module.name, name, "bias");
    }
    ++result_.applied;
    count(change, result_);
    if (scale_ != 0) add(change, places);
  }

  void take(const std::string& of_file, const std::string& of_model, const char* what) {
    const auto [it, is_new] = taken_.emplace(str(of_model, ".", what), of_file);
    check(is_new, file_.where, ": ", printable(it->second), " and ", printable(of_file),
          " both change ", it->first, ", expected one of them; is the adapter for another model?");
  }

  void leave_out(const AdapterModule& module, bool is_of_text_encoder) {
    result_.unmatched.push_back(module.name);
    if (is_of_text_encoder) ++result_.for_text_encoder;
  }

  // Each module gets its rows.
  void add(const AdapterChange& change, const Places& places) {
    const ModuleAdapter& whole = change.adapter;
    const bool is_split = places.modules.size() > 1;
    check(!is_split || whole.magnitude.rank() != 2 || !whole.magnitude.defined(), file_.where,
          ": a magnitude of columns over q, k and v together is not supported");
    std::int64_t begin = 0;
    for (const std::string& name : places.modules) {
      const std::int64_t end = begin + model_.at(name)[0];
      ModuleAdapter part = whole;
      part.scale = scale_;
      if (is_split) {
        if (whole.delta) part.delta = whole.delta->rows(begin, end);
        part.magnitude = some_rows(whole.magnitude, begin, end);
        part.bias = some_rows(whole.bias, begin, end);
      }
      set_.add(name, std::move(part));
      begin = end;
    }
  }

  const AdapterFile& file_;
  const ModuleShapes& model_;
  float scale_;
  AdapterSet& set_;
  AppliedAdapter result_;
  std::map<std::string, std::string> taken_;  // weight or bias of the model -> module of the file
};

}  // namespace

AppliedAdapter bind_adapter(const AdapterFile& file, const ModuleShapes& model, float scale,
                            bool is_strict, AdapterSet& set) {
  AppliedAdapter result = Binding(file, model, scale, set).bind();
  result.path = file.where;
  result.scale = scale;
  check(result.applied > 0, file.where, ": none of ", result.modules,
        " modules is this model's: ", listed_names(result.unmatched, kShownNames, kShownBytes),
        result.for_text_encoder == result.modules ? "; adapters of the text encoder are not applied"
                                                  : "; the adapter is for another model");
  check(!is_strict || result.unmatched.empty(), file.where, ": ", result.unmatched.size(),
        " names without a place in this model (--lora-strict): ",
        listed_names(result.unmatched, kShownNames, kShownBytes));
  if (scale != 0 && file.file) set.keep(file.file);
  if (file.file) file.file->release_pages();  // read to be checked
  return result;
}

AppliedAdapter survey_adapter(const AdapterFile& file) {
  AppliedAdapter result{.name = "", .path = file.where};
  result.modules = static_cast<int>(file.modules.size());
  const auto repeated =
      repeated_modules(file, [](const AdapterModule& /*module*/, const AdapterTarget& target) {
        return !target.is_ambiguous;
      });
  result.repeated.assign(repeated.begin(), repeated.end());
  for (const AdapterModule& module : file.modules) {
    if (repeated.count(module.name) > 0) continue;
    const auto target = adapter_target(module.name);
    if (!target || target->kind == AdapterTarget::Kind::kTextEncoder) {
      result.unmatched.push_back(module.name);
      result.for_text_encoder += target ? 1 : 0;
      continue;
    }
    ++result.applied;
    count(read_change(module, file.settings, file.where), result);
  }
  for (const std::string& name : file.other_tensors) result.unmatched.push_back(name);
  return result;
}

std::string report_of(const AppliedAdapter& a) {
  std::string kinds;
  for (const auto& [kind, modules] : a.kinds) kinds += (kinds.empty() ? "" : ", ") + kind;
  std::string ranks;
  if (a.largest_rank > 0) ranks = str(" of rank ", a.smallest_rank);
  if (a.largest_rank > a.smallest_rank) ranks += str(" to ", a.largest_rank);
  std::string text = str(printable(a.name), " at ", a.scale, ": applied ", a.applied, " of ",
                         a.modules, " modules (", kinds, ranks, ")");
  if (!a.repeated.empty()) {
    text += str("; in the file under finer names, too: ",
                listed_names(a.repeated, kShownNames, kShownBytes));
  }
  if (a.unmatched.empty()) return text;
  text += str("; not applied: ", listed_names(a.unmatched, kShownNames, kShownBytes));
  return a.for_text_encoder > 0 ? str(text, "; ", a.for_text_encoder, " for a text encoder") : text;
}

}  // namespace zimage
