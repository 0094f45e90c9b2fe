#include "cpu/attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "cpu/kernels/cast.h"
#include "cpu/kernels/softmax.h"
#include "cpu/onednn.h"
#include "cpu/pieces.h"

namespace zimage::cpu {
namespace {

using onednn::Epilogue;
using onednn::PackedWeight;
using onednn::Product;

// Scores of a task, 192 x 512 in f32, share the L2 cache with a block of K or V.
constexpr std::int64_t kQueryBlock = 192;
constexpr std::int64_t kKeyBlock = 512;
// Packed K and V held at a time, unless those of a single head need more.
constexpr std::int64_t kPackedBytes = std::int64_t{64} << 20;

// The pieces of [0, n): all of one length but the last.
struct Blocks {
  std::int64_t n, length;

  Blocks(std::int64_t n, std::int64_t longest, std::int64_t step)
      : n(n), length(std::min(piece_of(n, longest, step), n)) {}
  std::int64_t count() const { return (n + length - 1) / length; }
  std::int64_t begin(std::int64_t i) const { return i * length; }
  std::int64_t size(std::int64_t i) const { return std::min(length, n - begin(i)); }
  bool is_short(std::int64_t i) const { return size(i) < length; }
};

struct HeadBlock {
  std::shared_ptr<const PackedWeight> k, v;
};

class Attention {
 public:
  Attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, bool is_causal,
            Tensor& y, Dtype dtype)
      : q_(q),
        k_(k),
        v_(v),
        y_(y),
        scale_(scale),
        is_causal_(is_causal),
        dtype_(dtype),
        dim_(q.dim(2)),
        heads_(q.dim(1)),
        kv_heads_(k.dim(1)),
        queries_(q.dim(0), kQueryBlock, 16),
        keys_(k.dim(0), kKeyBlock, 64) {
    for (const bool short_rows : {false, true}) {
      for (const bool short_keys : {false, true}) add_products(short_rows, short_keys);
    }
  }

  // Heads in groups, because a K or V packed once serves all blocks of queries.
  void run() {
    const std::int64_t head_bytes = 2 * keys_.n * dim_ * static_cast<std::int64_t>(size_of(dtype_));
    const std::int64_t group = std::clamp<std::int64_t>(kPackedBytes / head_bytes, 1, kv_heads_);
    const std::int64_t shared = heads_ / kv_heads_;
    for (std::int64_t first = 0; first < kv_heads_; first += group) {
      const std::int64_t kv_heads = std::min(group, kv_heads_ - first);
      const std::vector<HeadBlock> packed = pack(first, kv_heads);
      parallel_for(kv_heads * shared * queries_.count(), [&](std::int64_t i) {
        const std::int64_t head = i / queries_.count();  // of this group
        attend(first * shared + head, i % queries_.count(), &packed[head / shared * keys_.count()]);
      });
    }
  }

 private:
  struct Products {
    Product scores, output;
  };

  void add_products(bool short_rows, bool short_keys) {
    const std::int64_t rows = queries_.size(short_rows ? queries_.count() - 1 : 0);
    const std::int64_t keys = keys_.size(short_keys ? keys_.count() - 1 : 0);
    products_.push_back({Product(rows, keys, dim_, dtype_, Epilogue::kStore),
                         Product(rows, dim_, keys, dtype_, Epilogue::kAccumulate)});
  }

  const Products& products(std::int64_t query_block, std::int64_t key_block) const {
    return products_[2 * queries_.is_short(query_block) + keys_.is_short(key_block)];
  }

  // [kv_heads, key blocks]
  std::vector<HeadBlock> pack(std::int64_t first, std::int64_t kv_heads) const {
    std::vector<HeadBlock> packed(kv_heads * keys_.count());
    parallel_for(static_cast<std::int64_t>(packed.size()), [&](std::int64_t i) {
      const std::int64_t block = i % keys_.count();
      const std::int64_t head = first + i / keys_.count();
      const std::int64_t stride = kv_heads_ * dim_;
      const std::int64_t offset = (keys_.begin(block) * stride + head * dim_) *
                                  static_cast<std::int64_t>(size_of(k_.dtype()));
      const auto& [scores, output] = products(0, block);
      packed[i].k =
          scores.pack({.data = k_.raw() + offset, .dtype = k_.dtype(), .row_stride = stride});
      packed[i].v = output.pack({.data = v_.raw() + offset,
                                 .dtype = v_.dtype(),
                                 .row_stride = 1,
                                 .column_stride = stride});
    });
    return packed;
  }

  Tensor load_queries(std::int64_t head, std::int64_t begin, std::int64_t rows) const {
    Tensor block = empty({rows, dim_}, dtype_);
    const std::int64_t size = static_cast<std::int64_t>(size_of(q_.dtype()));
    for (std::int64_t i = 0; i < rows; ++i) {
      cast_kernels().cast(q_.raw() + ((begin + i) * heads_ + head) * dim_ * size, q_.dtype(),
                          block.slice(i, i + 1).raw(), dtype_, dim_);
    }
    return block;
  }

  void attend(std::int64_t head, std::int64_t query_block, const HeadBlock* packed) {
    const std::int64_t begin = queries_.begin(query_block), rows = queries_.size(query_block);
    const Tensor q = load_queries(head, begin, rows);
    Tensor scores = empty({rows, keys_.length});
    Tensor weights = dtype_ == Dtype::kF32 ? scores : empty({rows, keys_.length}, dtype_);
    Tensor output = zeros({rows, dim_});
    std::vector<float> largest(rows, -std::numeric_limits<float>::infinity()), sum(rows, 0.0f);

    const std::int64_t last_key = is_causal_ ? begin + rows : keys_.n;
    for (std::int64_t i = 0; i < keys_.count() && keys_.begin(i) < last_key; ++i) {
      const auto& [score_product, output_product] = products(query_block, i);
      score_product(q.raw(), *packed[i].k, nullptr, scores.data<float>());
      softmax_kernels().block({.scores = scores.data<float>(),
                               .weights = weights.raw(),
                               .weights_dtype = dtype_,
                               .rows = rows,
                               .keys = keys_.size(i),
                               .visible = is_causal_ ? begin + 1 - keys_.begin(i) : keys_.n,
                               .scale = scale_,
                               .largest = largest.data(),
                               .sum = sum.data(),
                               .output = output.data<float>(),
                               .dim = dim_});
      output_product(weights.raw(), *packed[i].v, nullptr, output.data<float>());
    }
    const std::int64_t offset = (begin * heads_ + head) * dim_;
    softmax_kernels().divide(output.data<float>(), sum.data(), rows, dim_,
                             y_.raw() + offset * static_cast<std::int64_t>(size_of(y_.dtype())),
                             y_.dtype(), heads_ * dim_);
  }

  const Tensor &q_, &k_, &v_;
  Tensor& y_;
  float scale_;
  bool is_causal_;
  Dtype dtype_;  // of the products' operands
  std::int64_t dim_, heads_, kv_heads_;
  Blocks queries_, keys_;
  std::vector<Products> products_;  // [short rows, short keys]
};

}  // namespace

void attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, bool is_causal,
               Tensor& y, Bf16Path path) {
  const bool expands = q.dtype() == Dtype::kBf16 && path == Bf16Path::kExpand;
  Attention(q, k, v, scale, is_causal, y, expands ? Dtype::kF32 : q.dtype()).run();
}

}  // namespace zimage::cpu
