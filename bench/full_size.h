#pragma once

#include <filesystem>

namespace zimage::bench {

struct FullSize {
  int layers = 0;             // of transformer and text encoder; 0: as published, 30 and 36
  bool has_outliers = false;  // in the transformer's blocks
};

// A snapshot of the published size and layout (Z-Image-Turbo: transformer 12.3 GB, text encoder
// 8 GB, VAE 0.17 GB) with random bf16 weights: it draws noise, at the real model's speed. The
// tokenizer is that of the snapshot `tokenizer_from`. Throws Error for a folder that exists and for
// too little disk.
// Outliers are those that trained transformers are known for. Attention and feed-forward weights
// have heavy tails (random_values.h), and in each eight input channels are 10 to 30 times as large;
// so are eight channels of the norms before attention and feed-forward. Eight rows of w1 and the
// same ones of w3 are 3 to 10 times as large, so that 8 channels before w2 are 10 to 100 times as
// large as the others.
void make_full_size_model(const std::filesystem::path& folder,
                          const std::filesystem::path& tokenizer_from, const FullSize& options);

}  // namespace zimage::bench
