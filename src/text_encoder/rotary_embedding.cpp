#include "text_encoder/rotary_embedding.h"

#include <cmath>

namespace zimage {

// Every step rounds to f32 as in transformers, because an angle is a large number modulo 2 pi.
RotaryEmbedding::RotaryEmbedding(int head_dim, float theta) {
  for (int channel = 0; channel < head_dim; channel += 2) {
    const float exponent = static_cast<float>(channel) / static_cast<float>(head_dim);
    const auto period = static_cast<float>(std::pow(double{theta}, double{exponent}));
    inv_freq_.push_back(1.0f / period);
  }
}

ops::RopeTable RotaryEmbedding::operator()(std::int64_t tokens) const {
  const auto pairs = static_cast<std::int64_t>(inv_freq_.size());
  ops::RopeTable table{empty({tokens, pairs}), empty({tokens, pairs})};
  float* cos = table.cos.data<float>();
  float* sin = table.sin.data<float>();
  for (std::int64_t token = 0; token < tokens; ++token) {
    for (const float inv_freq : inv_freq_) {
      const float angle = static_cast<float>(token) * inv_freq;
      *cos++ = static_cast<float>(std::cos(double{angle}));
      *sin++ = static_cast<float>(std::sin(double{angle}));
    }
  }
  return table;
}

}  // namespace zimage
