#include "ops/elementwise.h"

#include <string_view>

#include "core/check.h"
#include "core/dtype_kind.h"
#include "core/profile.h"
#include "cpu/elementwise.h"
#include "ops/check_dtype.h"

namespace zimage::ops {
namespace {

void check_same(std::string_view op, std::string_view x_name, const Tensor& x,
                std::string_view y_name, const Tensor& y) {
  check(x.shape() == y.shape() && x.dtype() == y.dtype(), op, ": ", y_name, " ", y.shape(), " ",
        y.dtype(), " does not fit ", x_name, " ", x.shape(), " ", x.dtype());
}

void check_f32(std::string_view op, std::string_view name, Dtype dtype) {
  check(dtype == Dtype::kF32, op, ": ", name, " is ", dtype, ", expected F32");
}

}  // namespace

Tensor cast(const Tensor& x, Dtype dtype) {
  if (x.dtype() == dtype) return x;
  check(is_floating(x.dtype()), "cast: x is ", x.dtype(), ", expected floating-point numbers");
  check_computable("cast", "the result", dtype);

  Tensor y = empty(x.shape(), dtype);
  const profile::Op op("cast", {x.numel()}, profile::work(0, x, y));
  cpu::cast(x, y);
  return y;
}

Tensor silu_mul(const Tensor& gate, const Tensor& up) {
  check_computable("silu_mul", "gate", gate.dtype());
  check_same("silu_mul", "gate", gate, "up", up);

  Tensor y = empty(gate.shape(), gate.dtype());
  const profile::Op op("silu_mul", {y.numel()}, profile::work(0, gate, up, y));
  cpu::silu_mul(gate, up, y);
  return y;
}

Tensor silu(const Tensor& x) {
  check_computable("silu", "x", x.dtype());

  Tensor y = empty(x.shape(), x.dtype());
  const profile::Op op("silu", {x.numel()}, profile::work(0, x, y));
  cpu::silu(x, y);
  return y;
}

Tensor tanh(const Tensor& x) {
  check_computable("tanh", "x", x.dtype());

  Tensor y = empty(x.shape(), x.dtype());
  const profile::Op op("tanh", {x.numel()}, profile::work(0, x, y));
  cpu::tanh(x, y);
  return y;
}

Tensor add(const Tensor& x, const Tensor& y) {
  check_computable("add", "x", x.dtype());
  check_same("add", "x", x, "y", y);

  Tensor sum = empty(x.shape(), x.dtype());
  const profile::Op op("add", {x.numel()}, profile::work(0, x, y, sum));
  cpu::add(x, y, sum);
  return sum;
}

Tensor add_gated(const Tensor& x, const Tensor& y, const Tensor& gate) {
  check_f32("add_gated", "x", x.dtype());
  check_same("add_gated", "x", x, "y", y);
  check(x.rank() > 0 && gate.shape() == Shape{x.dim(-1)}, "add_gated: gate ", gate.shape(),
        " does not fit x ", x.shape());
  check_f32("add_gated", "gate", gate.dtype());

  Tensor sum = empty(x.shape());
  const profile::Op op("add_gated", {x.numel()}, profile::work(0, x, y, sum));
  cpu::add_gated(x, y, gate, sum);
  return sum;
}

Tensor gather_rows(const Tensor& table, const Tensor& ids_i32) {
  check(table.rank() == 2, "gather_rows: table is ", table.shape(), ", expected [rows, dim]");
  check_computable("gather_rows", "table", table.dtype());
  check(ids_i32.rank() == 1 && ids_i32.dtype() == Dtype::kI32, "gather_rows: ids are ",
        ids_i32.shape(), " ", ids_i32.dtype(), ", expected one axis of I32");
  for (std::int64_t i = 0; i < ids_i32.numel(); ++i) {
    const std::int32_t id = ids_i32.data<std::int32_t>()[i];
    check(id >= 0 && id < table.dim(0), "gather_rows: id ", id, " at ", i,
          " is not a row of table ", table.shape());
  }

  Tensor rows = empty({ids_i32.dim(0), table.dim(1)});
  const profile::Op op("gather_rows", {rows.dim(0), rows.dim(1)}, profile::work(0, rows));
  cpu::gather_rows(table, ids_i32, rows);
  return rows;
}

bool all_finite(const Tensor& x) {
  check_computable("all_finite", "x", x.dtype());
  const profile::Op op("all_finite", {x.numel()}, profile::work(0, x));
  return cpu::all_finite(x);
}

}  // namespace zimage::ops
