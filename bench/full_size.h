#pragma once

#include <filesystem>

namespace zimage::bench {

// A snapshot of the published size and layout (Z-Image-Turbo: transformer 12.3 GB, text encoder
// 8 GB, VAE 0.17 GB) with random bf16 weights: it draws noise, at the real model's speed. The
// tokenizer is that of the snapshot `tokenizer_from`. Throws Error for a folder that exists and for
// too little disk.
void make_full_size_model(const std::filesystem::path& folder,
                          const std::filesystem::path& tokenizer_from);

}  // namespace zimage::bench
