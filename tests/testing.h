// Helpers for tests: errors as text, tensors as vectors, comparison with a reference.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace zimage {

// The message of the Error that `call` throws, "" when it throws none.
template <class Call>
std::string error_of(Call&& call) {
  try {
    (void)call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Sets the number of threads for a scope.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(num_threads()) { set_num_threads(threads); }
  ~ThreadCount() { set_num_threads(before_); }

 private:
  int before_;
};

// A new empty folder, removed with everything in it at the end of the scope.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "zimage-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw Error("mkdtemp failed for " + name);
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::filesystem::path test_data(const std::string& name) {
  return std::filesystem::path(ZIMAGE_TEST_DATA) / name;
}

// Elements of an f32 or bf16 tensor as floats.
inline std::vector<float> values_of(const Tensor& t) {
  std::vector<float> values(static_cast<std::size_t>(t.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] =
        t.dtype() == Dtype::kF32 ? t.data<float>()[i] : static_cast<float>(t.data<bf16>()[i]);
  }
  return values;
}

inline Tensor tensor_of(const Shape& shape, const std::vector<float>& values,
                        Dtype dtype = Dtype::kF32) {
  Tensor t = empty(shape, dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == Dtype::kF32) {
      t.data<float>()[i] = values[i];
    } else if (dtype == Dtype::kF16) {
      const auto half = static_cast<_Float16>(values[i]);
      std::memcpy(t.raw() + i * sizeof half, &half, sizeof half);
    } else {
      t.data<bf16>()[i] = bf16(values[i]);
    }
  }
  return t;
}

// Normal values times `stddev`, the same for the same seed; for inputs of tests only.
inline Tensor random_normal(const Shape& shape, Dtype dtype, std::uint64_t seed, float stddev = 1) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal(0, stddev);
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (float& value : values) value = normal(engine);
  return tensor_of(shape, values, dtype);
}

// Passes when shapes are equal and |actual - expected| <= atol + rtol * |expected| everywhere.
inline testing::AssertionResult all_close(const Tensor& actual, const Tensor& expected, double rtol,
                                          double atol = 0) {
  if (!(actual.shape() == expected.shape())) {
    return testing::AssertionFailure()
           << "shape " << str(actual.shape()) << ", expected " << str(expected.shape());
  }
  const auto a = values_of(actual), e = values_of(expected);
  double worst = 0;
  std::size_t at = 0, bad = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double excess = std::abs(double{a[i]} - e[i]) - (atol + rtol * std::abs(double{e[i]}));
    if (excess <= 0) continue;  // a NaN is not <= 0
    ++bad;
    if (!(excess <= worst)) worst = excess, at = i;
  }
  if (bad == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << bad << " of " << a.size() << " values differ, worst at "
                                     << at << ": " << a[at] << ", expected " << e[at];
}

// ||actual - expected|| / ||expected|| over all elements.
inline double relative_error(const Tensor& actual, const Tensor& expected) {
  const auto a = values_of(actual), e = values_of(expected);
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += (double{a[i]} - e[i]) * (double{a[i]} - e[i]);
    norm += double{e[i]} * e[i];
  }
  return std::sqrt(error / norm);
}

}  // namespace zimage
