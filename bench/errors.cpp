#include "errors.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/check.h"

namespace zimage::bench {

double relative_error(const Tensor& y, const Tensor& expected) {
  check(y.shape() == expected.shape(), "results are ", y.shape(), " and ", expected.shape());
  double error = 0, power = 0;
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const double value = expected.data<float>()[i], difference = y.data<float>()[i] - value;
    error += difference * difference;
    power += value * value;
  }
  return std::sqrt(error / power);
}

void print_errors(const ErrorRow& row, bool has_header) {
  if (has_header) {
    std::printf("%-36s", "error relative to f32, %");
    for (const auto& [name, error] : row.errors) std::printf(" %12s", name.c_str());
    std::printf("\n");
  }
  std::printf("%-36s", row.name.c_str());
  for (const auto& [name, error] : row.errors) std::printf(" %12.3f", 100 * error);
  std::printf("\n");
  std::fflush(stdout);
}

std::string json_of(const std::vector<ErrorRow>& rows) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const ErrorRow& row : rows) {
    nlohmann::ordered_json errors;
    for (const auto& [name, error] : row.errors) errors[name] = error;
    out.push_back({{"name", row.name}, {"relative_errors", errors}});
  }
  return nlohmann::ordered_json{{"rows", out}}.dump(1);
}

}  // namespace zimage::bench
