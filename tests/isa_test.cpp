#include "cpu/isa.h"

#include <cstdlib>
#include <string>

#include "cpu/dispatch.h"
#include "isa_testing.h"

namespace zimage::cpu {
namespace {

TEST(Isa, IsLoweredToTheCap) {
  EXPECT_EQ(isa_below(Isa::kBf16, ""), Isa::kBf16);
  EXPECT_EQ(isa_below(Isa::kBf16, "scalar"), Isa::kScalar);
  EXPECT_EQ(isa_below(Isa::kBf16, "avx2"), Isa::kAvx2);
  EXPECT_EQ(isa_below(Isa::kBf16, "avx512"), Isa::kAvx512);
  EXPECT_EQ(isa_below(Isa::kBf16, "bf16"), Isa::kBf16);
}

TEST(Isa, IsNeverRaisedAboveTheMachine) {
  EXPECT_EQ(isa_below(Isa::kAvx2, "bf16"), Isa::kAvx2);
  EXPECT_EQ(isa_below(Isa::kScalar, "avx512"), Isa::kScalar);
}

TEST(Isa, RejectsAnUnknownCap) {
  EXPECT_EQ(error_of([] { return isa_below(Isa::kBf16, "AVX2"); }),
            "ZIMAGE_MAX_ISA is \"AVX2\", expected scalar, avx2, avx512 or bf16");
}

TEST(Isa, HonoursTheEnvironment) {
  const char* const cap = std::getenv("ZIMAGE_MAX_ISA");
  if (cap == nullptr) GTEST_SKIP() << "ZIMAGE_MAX_ISA is not set";
  EXPECT_EQ(best_isa(), isa_below(best_isa(), cap));
}

TEST(Isa, ScopeLowersAndRestores) {
  const Isa before = current_isa();
  {
    const IsaScope scope(Isa::kScalar);
    EXPECT_EQ(current_isa(), Isa::kScalar);
    EXPECT_FALSE(has_bf16_instructions());
    const IsaScope inner(Isa::kBf16);
    EXPECT_EQ(current_isa(), best_isa());
  }
  EXPECT_EQ(current_isa(), before);
}

TEST(Isa, PicksTheTableOfItsLevel) {
  on_every_isa([] {
    const int scalar = 0, avx2 = 1, avx512 = 2;
    EXPECT_EQ(select(scalar, avx2, avx512), static_cast<int>(current_isa()));
  });
}

}  // namespace
}  // namespace zimage::cpu
