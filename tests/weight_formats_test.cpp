#include "weight_formats.h"

#include "testing.h"

namespace zimage {
namespace {

// What bits there are give about that much: half a step of the evenly cut range of a group.
TEST(WeightFormats, AreAsNearAsTheirBitsAllow) {
  const Tensor weight = random_normal({16, 512}, Dtype::kF32, 1);
  const std::map<std::string, double> expected{
      {"Q8_0", 0.006}, {"Q4_0", 0.1},       {"Q4_1", 0.09},    {"Q5_0", 0.05},     {"Q5_1", 0.045},
      {"IQ4_NL", 0.1}, {"Q2_K", 0.45},      {"Q3_K", 0.21},    {"Q4_K", 0.095},    {"Q5_K", 0.047},
      {"Q6_K", 0.023}, {"MLX 8/32", 0.006}, {"MLX 4/64", 0.1}, {"MLX mxfp4", 0.13}};
  const auto formats = bench::weight_formats();
  EXPECT_EQ(formats.size(), expected.size());
  for (const auto& [name, quantize] : formats) {
    const Tensor values = ops::decoded(*quantize(weight), Dtype::kF32);
    EXPECT_LT(relative_error(values, weight), expected.at(name)) << name;
  }
}

}  // namespace
}  // namespace zimage
