#include "cpu/kernels/product.h"

#include <bit>
#include <random>

#include "cpu/isa.h"
#include "cpu/matmul.h"
#include "testing.h"

namespace zimage {
namespace {

using cpu::ProductKind;

constexpr cpu::Isa kIsas[] = {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512,
                              cpu::Isa::kBf16};

bool can_run(ProductKind kind) {
  if (kind == ProductKind::kBf16) return cpu::has_bf16_instructions();
  return kind != ProductKind::kInt8 || cpu::has_int8_instructions();
}

bool is_integer(ProductKind kind) {
  return kind == ProductKind::kInt16 || kind == ProductKind::kInt8;
}

// The operands of a word: of x, or of a panel, where four bytes are unsigned.
std::vector<double> values_in(std::uint32_t word, ProductKind kind, bool is_x) {
  std::vector<double> values;
  const auto at = [&](int shift, std::uint32_t mask) { return word >> shift & mask; };
  switch (kind) {
    case ProductKind::kF32: values = {std::bit_cast<float>(word)}; break;
    case ProductKind::kBf16:
      for (const int shift : {0, 16}) {
        values.push_back(std::bit_cast<float>(at(shift, 0xffff) << 16));
      }
      break;
    case ProductKind::kInt16:
      for (const int shift : {0, 16}) {
        values.push_back(static_cast<std::int16_t>(at(shift, 0xffff)));
      }
      break;
    case ProductKind::kInt8:
      for (const int shift : {0, 8, 16, 24}) {
        const auto byte = static_cast<std::uint8_t>(at(shift, 0xff));
        values.push_back(is_x ? static_cast<std::int8_t>(byte) : static_cast<double>(byte));
      }
      break;
  }
  return values;
}

// Integers stay within -127 to 127, as quantised values do.
std::uint32_t random_word(ProductKind kind, std::mt19937& engine) {
  std::uniform_real_distribution<float> uniform(-1, 1);
  const auto real = [&] { return std::bit_cast<std::uint32_t>(uniform(engine)); };
  const auto integer = [&] { return static_cast<int>(uniform(engine) * 127.0f); };
  switch (kind) {
    case ProductKind::kF32: return real();
    case ProductKind::kBf16: return real() >> 16 | (real() & 0xffff0000u);
    case ProductKind::kInt16:
      return (static_cast<std::uint32_t>(integer()) & 0xffffu) |
             static_cast<std::uint32_t>(integer()) << 16;
    case ProductKind::kInt8: return static_cast<std::uint32_t>(engine());
  }
  return 0;
}

std::vector<std::uint32_t> random_words(std::int64_t n, ProductKind kind, std::mt19937& engine) {
  std::vector<std::uint32_t> words;
  for (std::int64_t i = 0; i < n; ++i) words.push_back(random_word(kind, engine));
  return words;
}

struct Sizes {
  std::int64_t rows, columns, words;
};

// One of each, odd numbers, just past the edges of tiles and panels.
constexpr Sizes kAwkward[] = {{1, 1, 1},   {5, 7, 3},    {6, 16, 16},  {7, 17, 33},
                              {13, 64, 5}, {25, 65, 48}, {31, 130, 17}};

void expect_product(ProductKind kind, const Sizes& s, bool is_accumulating) {
  std::mt19937 rng(static_cast<unsigned>(s.rows * s.columns + s.words));
  const std::int64_t panel = cpu::product_kernels().panel_columns;
  const std::int64_t width = (s.columns + panel - 1) / panel * panel, stride = s.words + 3;
  const auto x = random_words(s.rows * stride, kind, rng);
  const auto columns = random_words(s.columns * s.words, kind, rng);
  std::vector<std::uint32_t> panels(static_cast<std::size_t>(width * s.words), 0xffffffffu);
  cpu::product_kernels().pack_words({.source = columns.data(),
                                     .stride = s.words,
                                     .columns = s.columns,
                                     .words = s.words,
                                     .panels = panels.data()});
  std::vector<std::uint32_t> sums(static_cast<std::size_t>(s.rows * width),
                                  is_integer(kind) ? 5 : std::bit_cast<std::uint32_t>(5.0f));
  cpu::product_kernel(kind)({.x = x.data(),
                             .x_stride = stride,
                             .rows = s.rows,
                             .words = s.words,
                             .panels = panels.data(),
                             .columns = width,
                             .sums = sums.data(),
                             .sums_stride = width,
                             .is_accumulating = is_accumulating});
  for (std::int64_t r = 0; r < s.rows; ++r) {
    for (std::int64_t c = 0; c < width; ++c) {
      double sum = is_accumulating ? 5 : 0, bound = sum;
      for (std::int64_t w = 0; w < s.words && c < s.columns; ++w) {
        const auto a = values_in(x[r * stride + w], kind, true);
        const auto b = values_in(columns[c * s.words + w], kind, false);
        for (std::size_t i = 0; i < a.size(); ++i) {
          sum += a[i] * b[i];
          bound += std::abs(a[i] * b[i]);
        }
      }
      const std::uint32_t actual = sums[r * width + c];
      if (is_integer(kind)) {
        ASSERT_EQ(static_cast<std::int32_t>(actual), sum) << r << ", " << c;
      } else {
        ASSERT_NEAR(std::bit_cast<float>(actual), sum, bound * 1e-6) << r << ", " << c;
      }
    }
  }
}

TEST(Product, MatchesReferenceAtAnySize) {
  for (const cpu::Isa isa : kIsas) {
    const cpu::IsaScope scope(isa);
    for (const auto kind :
         {ProductKind::kF32, ProductKind::kBf16, ProductKind::kInt16, ProductKind::kInt8}) {
      if (!can_run(kind)) continue;
      for (const Sizes& s : kAwkward) {
        SCOPED_TRACE(str(isa, ", kind ", static_cast<int>(kind), ", ", s.rows, " rows, ", s.columns,
                         " columns, ", s.words, " words"));
        expect_product(kind, s, false);
        expect_product(kind, s, true);
      }
    }
  }
}

TEST(Product, KeepsTheLargestSumsOfBytes) {
  for (const cpu::Isa isa : kIsas) {
    const cpu::IsaScope scope(isa);
    const std::int64_t panel = cpu::product_kernels().panel_columns, words = 5120;
    const std::vector<std::uint32_t> x(words, 0xff81ff81u);  // -127 twice
    const std::vector<std::uint32_t> panels(static_cast<std::size_t>(panel * words), 0xff81ff81u);
    std::vector<std::int32_t> sums(static_cast<std::size_t>(panel));
    cpu::product_kernels().int16({.x = x.data(),
                                  .x_stride = words,
                                  .rows = 1,
                                  .words = words,
                                  .panels = panels.data(),
                                  .columns = panel,
                                  .sums = sums.data(),
                                  .sums_stride = panel,
                                  .is_accumulating = false});
    for (const std::int32_t sum : sums) EXPECT_EQ(sum, 2 * 5120 * 127 * 127) << isa;
  }
}

// Element [c, w] of the columns, as its panel should hold it.
template <class Expected>
void expect_packed(const std::vector<std::uint32_t>& panels, const Sizes& s, Expected&& expected) {
  const std::int64_t panel = cpu::product_kernels().panel_columns;
  for (std::int64_t c = 0; c < (s.columns + panel - 1) / panel * panel; ++c) {
    for (std::int64_t w = 0; w < s.words; ++w) {
      const std::uint32_t actual = panels[c / panel * panel * s.words + w * panel + c % panel];
      ASSERT_EQ(actual, c < s.columns ? expected(c, w) : 0u) << "column " << c << ", word " << w;
    }
  }
}

TEST(Product, PacksColumnsOfAnyType) {
  for (const cpu::Isa isa : kIsas) {
    const cpu::IsaScope scope(isa);
    const auto& kernels = cpu::product_kernels();
    for (const Sizes& s : kAwkward) {
      SCOPED_TRACE(str(isa, ", ", s.columns, " columns, ", s.words, " words"));
      std::mt19937 rng(9);
      const std::int64_t stride = s.words + 2;  // words
      const auto source = random_words(std::max(s.columns, s.words) * (stride + s.columns),
                                       ProductKind::kInt8, rng);
      const auto pack = [&](cpu::PackKernel kernel, std::int64_t elements) {
        std::vector<std::uint32_t> panels(
            static_cast<std::size_t>((s.columns + 63) / 64 * 64 * s.words), 0xffffffffu);
        kernel({source.data(), elements, s.columns, s.words, panels.data()});
        return panels;
      };
      expect_packed(pack(kernels.pack_words, stride), s,
                    [&](auto c, auto w) { return source[c * stride + w]; });
      const auto* const halves = reinterpret_cast<const std::uint16_t*>(source.data());
      expect_packed(pack(kernels.pack_bf16_as_f32, stride), s,
                    [&](auto c, auto w) { return std::uint32_t{halves[c * stride + w]} << 16; });
      const auto* const bytes = reinterpret_cast<const std::int8_t*>(source.data());
      expect_packed(pack(kernels.pack_int8_as_int16, 2 * stride), s, [&](auto c, auto w) {
        const std::int8_t* const at = bytes + c * 2 * stride + 2 * w;
        return static_cast<std::uint16_t>(at[0]) | std::uint32_t{static_cast<std::uint16_t>(at[1])}
                                                       << 16;
      });
      expect_packed(pack(kernels.pack_int8_as_uint8, stride), s,
                    [&](auto c, auto w) { return source[c * stride + w] ^ 0x80808080u; });
      expect_packed(pack(kernels.pack_rows, s.columns + 1), s,
                    [&](auto c, auto w) { return source[w * (s.columns + 1) + c]; });
    }
  }
}

}  // namespace
}  // namespace zimage
