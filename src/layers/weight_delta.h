// What adapters add to weights: low-rank products (LoRA), Kronecker products (LoKr), products of
// two low-rank matrices number by number (LoHa), and whole matrices.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/weight_rows.h"

namespace zimage {

class WeightDelta;
using WeightDeltaPtr = std::shared_ptr<const WeightDelta>;

// Floating-point operations of a product, two for a multiply-add.
struct ProductWork {
  double per_row = 0;   // of x
  double decoding = 0;  // of the matrix, where it is decoded; each time that it is
};

// A matrix [out, in] that is added to a weight of that shape. Its numbers may be of any
// floating-point dtype until it is prepared(); what computes with it asks for a prepared one.
class WeightDelta : public ops::WeightRows {
 public:
  // The same with numbers of dtype f32 or bf16: itself where it has them so.
  virtual WeightDeltaPtr prepared(Dtype dtype) const = 0;
  // What it holds once it is prepared: pages of its file where it is used in place, else copies.
  std::uint64_t resident_bytes(Dtype dtype) const;
  // Its rows [begin, end), a matrix [end - begin, in].
  virtual WeightDeltaPtr rows(std::int64_t begin, std::int64_t end) const = 0;

  // Whether product() is little work beside that of the weight itself, and needs no more numbers
  // between its factors than x or the result has. Where not, product() decodes the matrix.
  virtual bool is_small() const { return false; }
  // x * delta^T, [rows, out] f32, with sums in f32. x: [rows, in] of the dtype it is prepared for;
  // what lies between the factors is of that dtype, too.
  virtual Tensor product(const Tensor& x) const;
  virtual ProductWork product_work() const { return decoded_work(); }
  // Rows [begin, end) as [end - begin, in] f32.
  virtual Tensor block(std::int64_t begin, std::int64_t end) const;

 protected:
  // Of a product with the decoded matrix.
  ProductWork decoded_work() const {
    return {2.0 * static_cast<double>(shape().numel()), decode_flop()};
  }
};

// up * down; down: [rank, in], up: [out, rank].
WeightDeltaPtr low_rank_delta(Tensor down, Tensor up);
// Entry [i * c + k, j * d + l] is left[i, j] * right[k, l]; left: [a, b], right: [c, d].
WeightDeltaPtr kronecker_delta(Tensor left, WeightDeltaPtr right);
// (up1 * down1) times (up2 * down2), number by number; shapes as those of low_rank_delta.
WeightDeltaPtr hadamard_delta(Tensor down1, Tensor up1, Tensor down2, Tensor up2);
WeightDeltaPtr dense_delta(Tensor matrix);  // [out, in]

}  // namespace zimage
