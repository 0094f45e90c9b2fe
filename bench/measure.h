// What is timed, at the shapes of the published model.
#pragma once

#include <filesystem>
#include <functional>

#include "report.h"

namespace zimage::bench {

using AddRow = std::function<void(const Row&)>;

// How products are computed, and the peak that counts for them.
struct Compute {
  Limit limit;           // of products that are not in eight bits
  bool is_int8 = false;  // products of the main layers
  Limit products() const { return is_int8 ? Limit::kInt8 : limit; }
};

// Every operation of a transformer block, for `tokens` of picture and caption.
void time_operations(std::int64_t tokens, Compute compute, const AddRow& add);

// The products of a transformer block with weights in other formats (weight_formats.h), in pairs
// with the same in bf16.
void time_formats(std::int64_t tokens, Limit limit, const AddRow& add);

// The same with adapters, in pairs with the products without, and what is done on loading.
void time_adapters(std::int64_t tokens, Limit limit, const AddRow& add);
void time_adapters_loading(Limit limit, const AddRow& add);

// Convolutions and norms of the VAE decoder, for a picture of size x size pixels.
void time_convolutions(int size, Limit limit, const AddRow& add);

// From here on weights come from a snapshot (make_full_size_model). size: pixels per side.
void time_block(const std::filesystem::path& model, int size, Compute compute, const AddRow& add);
void time_forward(const std::filesystem::path& model, int size, Compute compute, const AddRow& add);
void time_text_encoder(const std::filesystem::path& model, int tokens, Limit limit,
                       const AddRow& add);
void time_vae(const std::filesystem::path& model, int size, Limit limit, const AddRow& add);

}  // namespace zimage::bench
