// The parts of a module of an adapter file put together.
#include <algorithm>
#include <cmath>
#include <set>

#include "core/check.h"
#include "core/dtype_kind.h"
#include "io/printable.h"
#include "models/adapter_file.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

using Part = AdapterPart;

// A module's share of alpha / rank beyond which the file is taken for damaged.
constexpr double kLargestFactor = 1e4;

// LyCORIS gives it the smaller sides, at most the roots of the weight's.
constexpr std::int64_t kLargestFirstFactor = 2048;
// Where it is a product of two, it is made whole: more numbers than the file holds.
constexpr std::int64_t kMostNumbersMade = 1 << 16;

// Without the axes of size one that convolutions of one pixel add.
Tensor as_matrix(const Tensor& x) {
  int rank = x.rank();
  while (rank > 2 && x.dim(rank - 1) == 1) --rank;
  return rank == x.rank() ? x : x.reshape(Shape(x.shape().dims().first(static_cast<size_t>(rank))));
}

std::optional<double> integer_of(const Tensor& x) {
  switch (x.dtype()) {
    case Dtype::kI64: return static_cast<double>(*reinterpret_cast<const std::int64_t*>(x.raw()));
    case Dtype::kI32: return static_cast<double>(*reinterpret_cast<const std::int32_t*>(x.raw()));
    default: return {};
  }
}

class ChangeReader {
 public:
  ChangeReader(const AdapterModule& module, const AdapterSettings& settings,
               const std::string& where)
      : module_(module), settings_(settings), where_(str(where, ": ", printable(module.name))) {}

  AdapterChange read() {
    refuse_convolutions();
    if (has(Part::kDown) || has(Part::kUp)) {
      read_lora();
    } else if (has_any(Part::kLokrW1, Part::kLokrW2B)) {
      read_lokr();
    } else if (has_any(Part::kHadaW1A, Part::kHadaW2B)) {
      read_loha();
    } else if (has(Part::kDiff)) {
      read_diff();
    }
    read_bias();
    check(!change_.kind.empty(), where_, " has ", names(),
          " alone, which changes nothing; expected lora_A and lora_B, LoKr, LoHa or diff");
    read_magnitude();
    refuse_leftovers();
    return std::move(change_);
  }

 private:
  bool has(Part part) const { return module_.parts.contains(part); }
  bool has_any(Part first, Part last) const {
    const auto it = module_.parts.lower_bound(first);
    return it != module_.parts.end() && it->first <= last;
  }
  std::string names() const {
    std::string text;
    for (const auto& [part, tensor] : module_.parts) {
      text += str(text.empty() ? "" : " and ", name_of(part));
    }
    return text;
  }

  void refuse_leftovers() const {
    for (const auto& [part, tensor] : module_.parts) {
      check(part == Part::kAlpha || read_.contains(part), where_, " has ", names(), "; ",
            name_of(part), " has no meaning beside the others, expected parts of one ",
            change_.kind);
    }
  }

  // The numbers of a part, checked.
  Tensor numbers(Part part) {
    read_.insert(part);
    const auto it = module_.parts.find(part);
    check(it != module_.parts.end(), where_, " has ", names(), " without ", name_of(part),
          ", expected both");
    const Tensor& x = it->second;
    check(is_floating(x.dtype()), where_, ".", name_of(part), " is ", x.dtype(),
          ", expected floating-point numbers");
    const bool is_plain = x.dtype() == Dtype::kF32 || x.dtype() == Dtype::kBf16;
    check(ops::all_finite(is_plain ? x : ops::cast(x, Dtype::kF32)), where_, ".", name_of(part),
          " holds values that are not finite; the file is damaged");
    return x;
  }
  Tensor matrix(Part part) {
    const Tensor x = as_matrix(numbers(part));
    check(x.rank() == 2 && x.numel() > 0, where_, ".", name_of(part), " is ", x.shape(),
          ", expected a matrix of rank 1 or more");
    return x;
  }

  void refuse_convolutions() const {
    for (const Part part : {Part::kMid, Part::kLokrT2, Part::kHadaT1, Part::kHadaT2}) {
      check(!has(part), where_, " has ", name_of(part),
            ", which belongs to convolutions; this model has linear layers alone");
    }
  }

  // "up" [n, rank] and "down" [rank, m].
  std::pair<Tensor, Tensor> factors(Part up, Part down) {
    Tensor u = matrix(up), d = matrix(down);
    check(u.dim(1) == d.dim(0), where_, ".", name_of(up), " is ", u.shape(), " and ", name_of(down),
          " is ", d.shape(), ", expected [n, rank] and [rank, m]");
    return {std::move(u), std::move(d)};
  }

  std::optional<double> alpha() const {
    const auto it = module_.parts.find(Part::kAlpha);
    if (it == module_.parts.end()) return alpha_of_settings();
    const Tensor& x = it->second;
    check(x.numel() == 1, where_, ".alpha is ", x.shape(), ", expected one number");
    if (const auto integer = integer_of(x)) return integer;
    check(is_floating(x.dtype()), where_, ".alpha is ", x.dtype(), ", expected a number");
    const double value = ops::cast(x, Dtype::kF32).data<float>()[0];
    check(std::isfinite(value), where_, ".alpha is ", value, ", expected a finite number");
    return value;
  }

  // That of the longest name which the module's ends with.
  std::optional<double> alpha_of_settings() const {
    std::optional<double> alpha = settings_.alpha;
    std::size_t longest = 0;
    for (const auto& [module, value] : settings_.alpha_of) {
      const bool is_its = module_.name == module || module_.name.ends_with("." + module);
      if (!is_its || module.size() < longest) continue;
      alpha = value;
      longest = module.size();
    }
    return alpha;
  }

  float factor(std::int64_t rank) const {
    const auto value = alpha();
    if (!value) return 1;
    const double ranks = static_cast<double>(rank);
    return share(*value, ranks, settings_.is_rank_stabilized ? std::sqrt(ranks) : ranks);
  }

  // alpha / divisor, checked.
  float share(double alpha, double rank, double divisor) const {
    const double result = alpha / divisor;
    check(std::abs(result) <= kLargestFactor, where_, ": alpha is ", alpha, " at rank ", rank,
          ", expected at most ", kLargestFactor, " times the rank");
    return static_cast<float>(result);
  }

  void set(std::string kind, std::int64_t rank, WeightDeltaPtr delta, float factor) {
    change_.kind = std::move(kind);
    change_.rank = rank;
    change_.shape = delta->shape();
    change_.adapter.delta = std::move(delta);
    change_.adapter.factor = factor;
  }

  void read_lora() {
    auto [up, down] = factors(Part::kUp, Part::kDown);
    const std::int64_t rank = down.dim(0);
    set("LoRA", rank, low_rank_delta(down, up), factor(rank));
  }

  // A factor of LoKr: whole, or a product of two. Sets rank_ for the latter.
  WeightDeltaPtr lokr_factor(Part whole, Part up, Part down) {
    if (has(whole)) return dense_delta(matrix(whole));
    const auto [u, d] = factors(up, down);
    rank_ = d.dim(0);
    return low_rank_delta(d, u);
  }

  void read_lokr() {
    const auto left = lokr_factor(Part::kLokrW1, Part::kLokrW1A, Part::kLokrW1B);
    const auto right = lokr_factor(Part::kLokrW2, Part::kLokrW2A, Part::kLokrW2B);
    // LyCORIS leaves alpha out where both are whole, and some files hold nonsense there.
    float scale = 1;
    if (rank_ > 0) {
      scale = factor(rank_);
    } else if (settings_.is_peft_lokr && settings_.alpha && settings_.rank.value_or(0) > 0) {
      scale = share(*settings_.alpha, *settings_.rank, *settings_.rank);
    }
    const Shape& size = left->shape();
    check(size[0] <= kLargestFirstFactor && size[1] <= kLargestFirstFactor, where_,
          ": the first factor of LoKr is ", size, ", expected at most ", kLargestFirstFactor,
          " rows and columns");
    check(has(Part::kLokrW1) || size.numel() <= kMostNumbersMade, where_,
          ": lokr_w1_a and lokr_w1_b make ", size, ", expected at most ", kMostNumbersMade,
          " numbers");
    const Tensor whole = left->prepared(Dtype::kF32)->block(0, left->shape()[0]);
    set("LoKr", rank_, kronecker_delta(whole, right), scale);
  }

  void read_loha() {
    const auto [up1, down1] = factors(Part::kHadaW1A, Part::kHadaW1B);
    const auto [up2, down2] = factors(Part::kHadaW2A, Part::kHadaW2B);
    check(up1.dim(0) == up2.dim(0) && down1.dim(1) == down2.dim(1), where_,
          ": hada_w1_a and hada_w1_b make [", up1.dim(0), ", ", down1.dim(1),
          "], hada_w2_a and hada_w2_b [", up2.dim(0), ", ", down2.dim(1), "], expected the same");
    set("LoHa", down1.dim(0), hadamard_delta(down1, up1, down2, up2), factor(down1.dim(0)));
  }

  void read_diff() {
    const Tensor x = as_matrix(numbers(Part::kDiff));
    check((x.rank() == 1 || x.rank() == 2) && x.numel() > 0, where_, ".diff is ", x.shape(),
          ", expected a matrix or a vector");
    if (x.rank() == 2) return set("diff", 0, dense_delta(x), 1);
    change_.kind = "diff";
    change_.shape = x.shape();
    change_.adapter.vector = x;
  }

  void read_bias() {
    const bool is_diff = has(Part::kDiffBias);
    if (!is_diff && !has(Part::kUpBias)) return;
    Tensor bias = numbers(is_diff ? Part::kDiffBias : Part::kUpBias);
    check(bias.rank() == 1 && bias.numel() > 0, where_, ".", is_diff ? "diff_b" : "lora_B.bias",
          " is ", bias.shape(), ", expected a vector");
    if (change_.kind.empty()) {
      change_.kind = "diff";
      change_.shape = {bias.dim(0), 0};
    }
    check(bias.dim(0) == change_.shape[0], where_, ": a bias of ", bias.shape(),
          " for a weight of ", change_.shape, ", expected one number for each row");
    if (!is_diff && change_.adapter.factor != 1) bias = scaled(bias, change_.adapter.factor);
    change_.adapter.bias = bias;
  }

  static Tensor scaled(const Tensor& x, float factor) {
    Tensor y = ops::cast(x, Dtype::kF32).clone();
    for (std::int64_t i = 0; i < y.numel(); ++i) y.data<float>()[i] *= factor;
    return y;
  }

  // [out], [out, 1] for the rows; [1, in] for the columns.
  void read_magnitude() {
    if (!has(Part::kMagnitude)) return;
    check(change_.adapter.delta != nullptr, where_, " has ", names(),
          ", expected a magnitude beside a change of the weight");
    const Tensor x = numbers(Part::kMagnitude);
    const std::int64_t out = change_.shape[0], in = change_.shape[1];
    const bool by_rows = x.numel() == out && (x.rank() == 1 || (x.rank() >= 2 && x.dim(0) == out));
    const bool by_columns = x.rank() == 2 && x.shape() == Shape{1, in};
    check(by_rows || by_columns, where_, ": a magnitude of ", x.shape(), " for a weight of ",
          change_.shape, ", expected [", out, "], [", out, ", 1] or [1, ", in, "]");
    change_.adapter.magnitude = by_rows ? x.reshape({out}) : x;
    if (change_.kind == "LoRA") change_.kind = "DoRA";
  }

  const AdapterModule& module_;
  const AdapterSettings& settings_;
  std::string where_;
  std::set<Part> read_;
  std::int64_t rank_ = 0;
  AdapterChange change_;
};

}  // namespace

AdapterChange read_change(const AdapterModule& module, const AdapterSettings& settings,
                          const std::string& where) {
  return ChangeReader(module, settings, where).read();
}

}  // namespace zimage
