// How far eight bits and bf16 are from f32: ||y - y_f32|| / ||y_f32||.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace zimage::bench {

// One line of the report: the relative error of every way to compute the same thing.
struct ErrorRow {
  std::string name;
  std::vector<std::pair<std::string, double>> errors;
};
using AddErrorRow = std::function<void(const ErrorRow&)>;

// Of a block's products with so many rows of f32 activations and weights that bf16 holds: with the
// activations in bf16, and from there in eight bits, as the rows are and turned (ops/int8.h), and
// with the weights in other formats (weight_formats.h). Once all normal; once with outliers, that
// is weights of heavy tails (random_values.h) with eight input channels 10 to 30 times as large,
// and eight channels of the activations 10 to 100 times as large. What goes into w2 is silu(a) * b
// of normal a and b.
void measure_products(std::int64_t rows, const AddErrorRow& add);

// Of the transformer's output on the way from noise to a picture of `size` pixels per side, for one
// prompt: in bf16, in eight bits, and there with some weights kept. model: as the program takes it.
void measure_velocity(const std::string& model, int size, const AddErrorRow& add);

// Of tensors of f32 and one shape.
double relative_error(const Tensor& y, const Tensor& expected);

void print_errors(const ErrorRow& row, bool has_header);
std::string json_of(const std::vector<ErrorRow>& rows);

}  // namespace zimage::bench
