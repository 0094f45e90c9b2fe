#include "cpu/kernels/rope.h"

#include "cpu/kernels/reduce.h"
#include "cpu/kernels/visit.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

// kLanes pairs of channels.
struct Pairs {
  F32x first, second;
};

// The layouts of a row: pair i of d / 2 pairs is (2i, 2i + 1) or (i, i + d / 2).
struct Interleaved {
  template <class T>
  static Pairs load_pairs(const T* row, std::int64_t /*half*/, std::int64_t i, Full) {
    const F32x a = load(row + 2 * i), b = load(row + 2 * i + kLanes);
#if defined(__AVX512F__)
    return {
        __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
        __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)};
#elif defined(__AVX2__)
    return {__builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14),
            __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)};
#else
    return {__builtin_shufflevector(a, b, 0, 2, 4, 6), __builtin_shufflevector(a, b, 1, 3, 5, 7)};
#endif
  }

  template <class T>
  static void store_pairs(const Pairs& p, T* row, std::int64_t /*half*/, std::int64_t i, Full) {
    const F32x a = p.first, b = p.second;
#if defined(__AVX512F__)
    store(__builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
          row + 2 * i);
    store(
        __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
        row + 2 * i + kLanes);
#elif defined(__AVX2__)
    store(__builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11), row + 2 * i);
    store(__builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15), row + 2 * i + kLanes);
#else
    store(__builtin_shufflevector(a, b, 0, 4, 1, 5), row + 2 * i);
    store(__builtin_shufflevector(a, b, 2, 6, 3, 7), row + 2 * i + kLanes);
#endif
  }

  template <class T>
  static Pairs load_pairs(const T* row, std::int64_t half, std::int64_t i, int n) {
    alignas(64) unsigned char copy[2 * kLanes * sizeof(T)] = {};
    __builtin_memcpy(copy, static_cast<const void*>(row + 2 * i), 2 * n * sizeof(T));
    return load_pairs(reinterpret_cast<const T*>(copy), half, 0, kFull);
  }

  template <class T>
  static void store_pairs(const Pairs& p, T* row, std::int64_t half, std::int64_t i, int n) {
    alignas(64) unsigned char copy[2 * kLanes * sizeof(T)];
    store_pairs(p, reinterpret_cast<T*>(copy), half, 0, kFull);
    __builtin_memcpy(static_cast<void*>(row + 2 * i), copy, 2 * n * sizeof(T));
  }
};

struct Halves {
  template <class T, class Lanes>
  static Pairs load_pairs(const T* row, std::int64_t half, std::int64_t i, Lanes n) {
    return {load_up_to(row + i, n), load_up_to(row + half + i, n)};
  }

  template <class T, class Lanes>
  static void store_pairs(const Pairs& p, T* row, std::int64_t half, std::int64_t i, Lanes n) {
    store_up_to(p.first, row + i, n);
    store_up_to(p.second, row + half + i, n);
  }
};

// One head. `norm` turns a pair of registers into the normalized one.
template <class Layout, class T, class Norm>
void rotate(const T* x, const float* cos, const float* sin, std::int64_t half, Norm&& norm, T* y) {
  for_lanes(half, [&](std::int64_t i, auto n) {
    const Pairs p = norm(Layout::load_pairs(x, half, i, n), i, n);
    const F32x c = load_up_to(cos + i, n), s = load_up_to(sin + i, n);
    const Pairs turned{mul_add(p.first, c, -(p.second * s)), mul_add(p.first, s, p.second * c)};
    Layout::store_pairs(turned, y, half, i, n);
  });
}

template <class Layout, class T>
void rope_tokens(const RopeArgs& args, std::int64_t token_begin, std::int64_t token_end) {
  const std::int64_t dim = args.head_dim, half = dim / 2;
  for (std::int64_t row = token_begin * args.heads; row < token_end * args.heads; ++row) {
    const std::int64_t token = row / args.heads;
    const float* const cos = args.cos + token * half;
    const float* const sin = args.sin + token * half;
    const T* const x = static_cast<const T*>(args.x) + row * dim;
    T* const y = static_cast<T*>(args.y) + row * dim;
    if (args.weight == nullptr) {
      rotate<Layout>(
          x, cos, sin, half, [](const Pairs& p, std::int64_t, auto) { return p; }, y);
      continue;
    }
    const F32x factor = broadcast(inverse_rms(x, dim, args.eps));
    const auto norm = [&](const Pairs& p, std::int64_t i, auto n) {
      const Pairs w = Layout::load_pairs(args.weight, half, i, n);
      return Pairs{p.first * factor * w.first, p.second * factor * w.second};
    };
    rotate<Layout>(x, cos, sin, half, norm, y);
  }
}

void rms_norm_rope(const RopeArgs& args, std::int64_t token_begin, std::int64_t token_end) {
  visit(args.x, args.dtype, [&]<class T>(const T*) {
    if (args.is_interleaved) {
      rope_tokens<Interleaved, T>(args, token_begin, token_end);
    } else {
      rope_tokens<Halves, T>(args, token_begin, token_end);
    }
  });
}

}  // namespace

const RopeKernels rope_kernels = {.rms_norm_rope = rms_norm_rope};

}  // namespace zimage::cpu::ZIMAGE_ISA
