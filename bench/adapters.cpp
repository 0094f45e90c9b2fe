// Products with adapters beside the same without.
#include "layers/adapters.h"

#include <cstdio>
#include <vector>

#include "core/check.h"
#include "layers/adapter_work.h"
#include "measure.h"
#include "ops/elementwise.h"
#include "pairs.h"

namespace zimage::bench {
namespace {

struct Kind {
  std::string name;
  ModuleAdapter adapter;
};

Tensor numbers(const Shape& shape) { return ops::cast(normal(shape, 3), Dtype::kBf16); }

WeightDeltaPtr low_rank(std::int64_t rank, std::int64_t in, std::int64_t out) {
  return low_rank_delta(numbers({rank, in}), numbers({out, rank}));
}

std::vector<Kind> kinds(std::int64_t in, std::int64_t out) {
  const Tensor rows = normal({out}, 4), columns = normal({1, in}, 5);
  const Tensor down = numbers({8, in}), up = numbers({out, 8});
  constexpr std::int64_t kFactor = 8;  // a usual one of LoKr
  const WeightDeltaPtr right = low_rank(16, in / kFactor, out / kFactor);
  return {
      {"LoRA 16", {.delta = low_rank(16, in, out)}},
      {"LoRA 128", {.delta = low_rank(128, in, out)}},
      {"LoKr 8, 16", {.delta = kronecker_delta(numbers({kFactor, kFactor}), right)}},
      {"LoKr 64",
       {.delta = kronecker_delta(numbers({out / 64, in / 64}), dense_delta(numbers({64, 64})))}},
      {"LoHa 8", {.delta = hadamard_delta(down, up, down, up)}},
      {"DoRA 16", {.delta = low_rank(16, in, out), .magnitude = rows}},
      {"DoRA 16 by columns", {.delta = low_rank(16, in, out), .magnitude = columns}}};
}

std::string percent(double part, double whole) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * part / whole);
  return text;
}

void time_shape(std::int64_t tokens, std::int64_t in, std::int64_t out, Limit limit,
                const AddRow& add) {
  const Tensor x = numbers({tokens, in});
  const WeightMatrix plain(numbers({out, in}));
  const Shape shape{out, in};
  const std::string size = str(" [", tokens, ", ", in, "] x [", out, ", ", in, "]");
  const double work = 2.0 * static_cast<double>(tokens * in * out);
  for (const auto& [name, adapter] : kinds(in, out)) {
    const WeightMatrix weight = adapted(plain, {adapter}, shape, Dtype::kBf16, name);
    const Pair time = fastest_of([&] { (void)weight.product(x, {}, Dtype::kBf16); },
                                 [&] { (void)plain.product(x, {}, Dtype::kBf16); });
    const double all = work + work_of({adapter}, tokens, false, false).product;
    add({str(name, size, ": ", percent(time.first, time.second), " of the time without, ",
             percent(all, work), " of the arithmetic"),
         time.first, all, limit});
  }
}

// What is done once, when the weight is loaded.
void time_loading(std::int64_t in, std::int64_t out, Limit limit, const AddRow& add) {
  const WeightMatrix plain(numbers({out, in}));
  const Shape shape{out, in};
  for (const auto& [name, adapter] : kinds(in, out)) {
    const std::vector<ModuleAdapter> one{adapter};
    const AdapterWork work = work_of(one, 0, true, false);
    const std::string what = str(name, " [", out, ", ", in, "]");
    if (adapter.magnitude.defined()) {
      add({"norms of " + what,
           fastest([&] { (void)adapted(plain, one, shape, Dtype::kBf16, name); }), work.gates,
           limit});
    }
    add({"merging " + what, fastest([&] { (void)merged(plain, one, shape, Dtype::kBf16, name); }),
         work.gates + work.merging, limit});
  }
}

}  // namespace

void time_adapters(std::int64_t tokens, Limit limit, const AddRow& add) {
  for (const auto& [in, out] : kBlockProducts) time_shape(tokens, in, out, limit, add);
}

void time_adapters_loading(Limit limit, const AddRow& add) {
  constexpr std::int64_t kDim = 3840;
  time_loading(kDim, kDim, limit, add);
}

}  // namespace zimage::bench
