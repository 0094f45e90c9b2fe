#include "io/printable.h"

#include <gtest/gtest.h>

namespace zimage {
namespace {

TEST(Printable, KeepsPlainText) {
  EXPECT_EQ(printable("layers.0.weight"), "layers.0.weight");
  EXPECT_EQ(printable("schön 名 😀"), "schön 名 😀");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, EscapesControlCharactersAndBrokenUtf8) {
  EXPECT_EQ(printable("a\nb\x1b[31m\x7f"), "a\\x0ab\\x1b[31m\\x7f");
  EXPECT_EQ(printable(std::string_view("\0x", 2)), "\\x00x");
  EXPECT_EQ(printable("\xc2\x9b"),
            "\\xc2\\x9b");  // a control sequence in the upper half of Latin-1
  EXPECT_EQ(printable("\xff \xc3 \xf0\x9f\x98"), "\\xff \\xc3 \\xf0\\x9f\\x98");
}

TEST(Printable, CutsLongTextInTheMiddleBetweenCharacters) {
  const std::string text = std::string(100, 'a') + "zz";
  EXPECT_EQ(printable(text, 8), "aaaaaa...zz (102 bytes)");
  std::string umlauts;
  for (int i = 0; i < 50; ++i) umlauts += "ü";
  EXPECT_EQ(printable(umlauts, 10), "üüü...ü (100 bytes)");
  EXPECT_LT(printable(std::string(1 << 20, '\n')).size(), 1000u);
}

}  // namespace
}  // namespace zimage
