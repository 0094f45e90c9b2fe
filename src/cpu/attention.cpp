#include "cpu/attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "cpu/kernels/cast.h"
#include "cpu/kernels/softmax.h"
#include "cpu/matmul.h"
#include "cpu/pieces.h"

namespace zimage::cpu {
namespace {

// A task's scores, queries and output and a block's keys and values share the L2 cache.
constexpr std::int64_t kQueryBlock = 96;
constexpr std::int64_t kKeyBlock = 512;
// Packed keys and values held at a time, unless those of a single head need more.
constexpr std::int64_t kPackedBytes = std::int64_t{64} << 20;

constexpr float kLog2E = 1.44269504f;

// The pieces of [0, n): all of one length but the last.
struct Blocks {
  std::int64_t n, length;

  Blocks(std::int64_t n, std::int64_t longest, std::int64_t step)
      : n(n), length(std::min(piece_of(n, longest, step), n)) {}
  std::int64_t count() const { return (n + length - 1) / length; }
  std::int64_t begin(std::int64_t i) const { return i * length; }
  std::int64_t size(std::int64_t i) const { return std::min(length, n - begin(i)); }
};

// Words of the n channels of two bf16 rows; zeros stand for the second where it is null.
void pair_up(const void* first, const void* second, std::int64_t n, std::uint32_t* words) {
  const auto* const low = static_cast<const std::uint16_t*>(first);
  const auto* const high = static_cast<const std::uint16_t*>(second);
  for (std::int64_t i = 0; i < n; ++i) {
    words[i] = low[i] | (high == nullptr ? 0u : std::uint32_t{high[i]} << 16);
  }
}

class Attention {
 public:
  Attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, bool is_causal,
            Tensor& y, ProductKind kind)
      : q_(q),
        k_(k),
        v_(v),
        y_(y),
        scale_(scale * kLog2E),
        is_causal_(is_causal),
        kind_(kind),
        per_word_(kind == ProductKind::kBf16 ? 2 : 1),
        dim_(q.dim(2)),
        heads_(q.dim(1)),
        kv_heads_(k.dim(1)),
        queries_(q.dim(0), kQueryBlock, 6),
        keys_(k.dim(0), kKeyBlock, 2),
        panel_(product_kernels().panel_columns),
        key_columns_(whole(keys_.length, panel_)),
        dim_columns_(whole(dim_, panel_)) {}

  // Heads in groups, because a K or V packed once serves all blocks of queries.
  void run() {
    const std::int64_t head_bytes = keys_.count() * block_words() * 4;
    const std::int64_t group = std::clamp<std::int64_t>(kPackedBytes / head_bytes, 1, kv_heads_);
    const std::int64_t shared = heads_ / kv_heads_;
    for (std::int64_t first = 0; first < kv_heads_; first += group) {
      const std::int64_t kv_heads = std::min(group, kv_heads_ - first);
      const Tensor packed = pack(first, kv_heads);
      parallel_for(kv_heads * shared * queries_.count(), [&](std::int64_t i) {
        const std::int64_t head = i / queries_.count();  // of this group
        attend(first * shared + head, i % queries_.count(),
               words_at(packed, head / shared * keys_.count() * block_words()));
      });
    }
  }

 private:
  // Of the packed keys, and of the values that follow them.
  std::int64_t key_words() const { return key_columns_ * dim_ / per_word_; }
  std::int64_t value_words() const { return dim_columns_ * whole(keys_.length, 2) / per_word_; }
  std::int64_t block_words() const { return key_words() + value_words(); }

  static const std::uint32_t* words_at(const Tensor& x, std::int64_t word) {
    return reinterpret_cast<const std::uint32_t*>(x.raw()) + word;
  }

  // [kv_heads, key blocks, block_words()]
  Tensor pack(std::int64_t first, std::int64_t kv_heads) const {
    Tensor packed = empty({kv_heads, keys_.count(), block_words()}, Dtype::kI32);
    parallel_for(kv_heads * keys_.count(), [&](std::int64_t i) {
      auto* const to = reinterpret_cast<std::uint32_t*>(packed.raw()) + i * block_words();
      pack_keys(first + i / keys_.count(), i % keys_.count(), to);
      pack_values(first + i / keys_.count(), i % keys_.count(), to + key_words());
    });
    return packed;
  }

  // Of a head's part of a row, in bytes.
  std::int64_t offset(const Tensor& x, std::int64_t row, std::int64_t head) const {
    return (row * x.dim(1) + head) * dim_ * static_cast<std::int64_t>(size_of(x.dtype()));
  }
  const std::byte* at(const Tensor& x, std::int64_t row, std::int64_t head) const {
    return x.raw() + offset(x, row, head);
  }

  void pack_keys(std::int64_t head, std::int64_t block, std::uint32_t* to) const {
    const auto& kernels = product_kernels();
    const bool is_widened = k_.dtype() == Dtype::kBf16 && kind_ == ProductKind::kF32;
    (is_widened ? kernels.pack_bf16_as_f32
                : kernels.pack_words)({.source = at(k_, keys_.begin(block), head),
                                       .stride = kv_heads_ * dim_ / per_word_,
                                       .columns = keys_.size(block),
                                       .words = dim_ / per_word_,
                                       .panels = to});
  }

  void pack_values(std::int64_t head, std::int64_t block, std::uint32_t* to) const {
    const std::int64_t keys = keys_.size(block), words = (keys + per_word_ - 1) / per_word_;
    Tensor rows = empty({words, dim_}, Dtype::kI32);  // of words
    auto* const row = reinterpret_cast<std::uint32_t*>(rows.raw());
    for (std::int64_t i = 0; i < words; ++i) {
      const std::int64_t key = keys_.begin(block) + i * per_word_;
      if (kind_ == ProductKind::kF32) {
        cast_kernels().cast(at(v_, key, head), v_.dtype(), row + i * dim_, Dtype::kF32, dim_);
      } else {
        const bool is_last = i * per_word_ + 1 == keys;
        pair_up(at(v_, key, head), is_last ? nullptr : at(v_, key + 1, head), dim_, row + i * dim_);
      }
    }
    product_kernels().pack_rows(
        {.source = row, .stride = dim_, .columns = dim_, .words = words, .panels = to});
  }

  Tensor load_queries(std::int64_t head, std::int64_t begin, std::int64_t rows) const {
    const Dtype dtype = operand_dtype();
    Tensor block = empty({rows, dim_}, dtype);
    for (std::int64_t i = 0; i < rows; ++i) {
      cast_kernels().cast(at(q_, begin + i, head), q_.dtype(), block.slice(i, i + 1).raw(), dtype,
                          dim_);
    }
    return block;
  }

  void attend(std::int64_t head, std::int64_t query_block, const std::uint32_t* packed) {
    const std::int64_t begin = queries_.begin(query_block), rows = queries_.size(query_block);
    const Tensor q = load_queries(head, begin, rows);
    Tensor scores = empty({rows, key_columns_});
    // Zeros, as a word may hold one key more than there are.
    Tensor weights =
        kind_ == ProductKind::kF32 ? scores : zeros({rows, key_columns_}, operand_dtype());
    Tensor output = zeros({rows, dim_columns_});
    std::vector<float> largest(rows, -std::numeric_limits<float>::infinity()), sum(rows, 0.0f);
    SoftmaxBlock block{.scores = scores.data<float>(),
                       .weights = weights.raw(),
                       .weights_dtype = operand_dtype(),
                       .rows = rows,
                       .keys = 0,
                       .stride = key_columns_,
                       .visible = keys_.n,
                       .scale = scale_,
                       .largest = largest.data(),
                       .sum = sum.data(),
                       .output = output.data<float>(),
                       .dim = dim_,
                       .output_stride = dim_columns_};
    const std::int64_t last_key = is_causal_ ? begin + rows : keys_.n;
    for (std::int64_t i = 0; i < keys_.count() && keys_.begin(i) < last_key; ++i) {
      block.keys = keys_.size(i);
      if (is_causal_) block.visible = begin + 1 - keys_.begin(i);
      add_keys(q, packed + i * block_words(), block);
    }
    softmax_kernels().divide(block, y_.raw() + offset(y_, begin, head), y_.dtype(), heads_ * dim_);
  }

  void add_keys(const Tensor& q, const std::uint32_t* packed, const SoftmaxBlock& block) const {
    const ProductKernel product = product_kernel(kind_);
    product({.x = q.raw(),
             .x_stride = dim_ / per_word_,
             .rows = block.rows,
             .words = dim_ / per_word_,
             .panels = packed,
             .columns = whole(block.keys, panel_),
             .sums = block.scores,
             .sums_stride = block.stride,
             .is_accumulating = false});
    softmax_kernels().block(block);
    product({.x = block.weights,
             .x_stride = block.stride / per_word_,
             .rows = block.rows,
             .words = (block.keys + per_word_ - 1) / per_word_,
             .panels = packed + key_words(),
             .columns = dim_columns_,
             .sums = block.output,
             .sums_stride = block.output_stride,
             .is_accumulating = true});
  }

  Dtype operand_dtype() const { return kind_ == ProductKind::kBf16 ? Dtype::kBf16 : Dtype::kF32; }

  const Tensor &q_, &k_, &v_;
  Tensor& y_;
  float scale_;  // of scores in base 2
  bool is_causal_;
  ProductKind kind_;
  std::int64_t per_word_;  // channels or keys
  std::int64_t dim_, heads_, kv_heads_;
  Blocks queries_, keys_;
  std::int64_t panel_, key_columns_, dim_columns_;
};

}  // namespace

void attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, bool is_causal,
               Tensor& y, Bf16Path path) {
  Attention(q, k, v, scale, is_causal, y, product_kind(q.dtype(), q.dim(2), path)).run();
}

}  // namespace zimage::cpu
