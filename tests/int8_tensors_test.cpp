#include "models/int8_tensors.h"

#include <gmock/gmock.h>

#include <cstring>

#include "core/check.h"
#include "testing.h"

namespace zimage {
namespace {

using testing::HasSubstr;

Tensor text(std::string_view json) {
  Tensor bytes = empty({static_cast<std::int64_t>(json.size())}, Dtype::kU8);
  std::memcpy(bytes.raw(), json.data(), json.size());
  return bytes;
}

// With more in its JSON.
ops::Int8Matrix read(const std::string& more) {
  return int8_matrix({zeros({3, 64}, Dtype::kI8), from_values({1}, {0.5f}),
                      text(R"({"format": "int8_tensorwise")" + more + "}"), "w", "a.safetensors"});
}

std::string error(const std::string& more) {
  return error_of([&] { return read(more); });
}

TEST(Int8Tensors, LookForTheRotationAtTheTopAndUnderParams) {
  EXPECT_EQ(read("").rotation, 1);
  EXPECT_EQ(read(R"(, "convrot": true, "convrot_groupsize": 16)").rotation, 16);
  EXPECT_EQ(read(R"(, "params": {"convrot": true, "convrot_groupsize": 16})").rotation, 16);
  EXPECT_EQ(read(R"(, "params": {"convrot": false, "convrot_groupsize": 16})").rotation, 1);
  EXPECT_EQ(read(R"(, "convrot": true, "params": {"convrot_groupsize": 64})").rotation, 64);
  EXPECT_EQ(read(R"(, "convrot": false, "params": {"convrot": true})").rotation, 1);
  EXPECT_THAT(error(R"(, "params": {"convrot": true, "convrot_groupsize": 3})"),
              HasSubstr("a convrot_groupsize of 3"));
  EXPECT_THAT(error(R"(, "params": {"convrot": true})"), HasSubstr("a convrot_groupsize of 256"));
  EXPECT_THAT(error(R"(, "params": [1])"), HasSubstr("params"));
}

TEST(Int8Tensors, RefuseAnotherShapeThanTheOriginalOne) {
  EXPECT_EQ(error(R"(, "orig_shape": [3, 64])"), "");
  EXPECT_EQ(error(R"(, "orig_shape": null)"), "");
  EXPECT_EQ(error(R"(, "orig_shape": [3, 60])"),
            "a.safetensors: comfy_quant of w: orig_shape has 60 for axis 1 of a tensor [3, 64]; "
            "weights that were padded are not supported, expected the same");
  for (const char* const shape : {"[64, 3]", "[-3, 64]"}) {
    EXPECT_THAT(error(str(R"(, "orig_shape": )", shape)), HasSubstr("for axis 0"));
  }
  for (const char* const shape : {"[192]", "[3, 64, 1]", "[]"}) {
    EXPECT_THAT(error(str(R"(, "orig_shape": )", shape)),
                HasSubstr("axes beside a tensor [3, 64]; expected the same shape"));
  }
  EXPECT_THAT(error(R"(, "orig_shape": "3x64")"), HasSubstr("orig_shape"));
  EXPECT_THAT(error(R"(, "orig_shape": [3.5, 64])"), HasSubstr("orig_shape"));
}

}  // namespace
}  // namespace zimage
