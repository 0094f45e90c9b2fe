// Helpers for tests that compare whole pictures.
#pragma once

#include <cmath>
#include <cstdlib>
#include <limits>

#include "io/json.h"
#include "testing.h"
#include "zimage/pipeline.h"

namespace zimage {

// The small random model that tools/reference/make_pipeline.py made.
inline std::filesystem::path test_snapshot() { return test_data("pipeline/snapshot"); }

// What the cases of all picture references have in common; width and height where they are given.
inline GenerateOptions options_of(const Json& json) {
  GenerateOptions o;
  o.prompt = json.get<std::string>("prompt");
  o.negative_prompt = json.get_or<std::string>("negative_prompt", "");
  o.width = json.get_or("width", 96);
  o.height = json.get_or("height", 64);
  o.steps = json.get<int>("steps");
  o.guidance_scale = json.get_or("guidance", 0.0f);
  o.cfg_normalization_factor = json.get_or("cfg_normalization", 1.0f);
  o.cfg_normalization = json.has("cfg_normalization");
  o.cfg_truncation = json.get_or("cfg_truncation", 1.0);
  o.schedule = json.get_or<std::string>("schedule", "terminal") == "literal" ? Schedule::kLiteral
                                                                             : Schedule::kTerminal;
  o.seed = static_cast<std::uint64_t>(json.get<std::int64_t>("seed"));
  o.num_images = json.get_or("num_images", 1);
  return o;
}

// The pictures that image to image and control start from, and what diffusers made of them.
inline Image test_input(const std::string& name) {
  return read_image(test_data("image_to_image/" + name + ".png")).image;
}

struct Difference {
  double psnr;          // dB
  double share_within;  // of the 8-bit values that differ by 1 at most
};

inline Difference difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height) throw Error("sizes differ");
  double squares = 0;
  std::size_t within = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    const int d = int{a.pixels[i]} - int{b.pixels[i]};
    squares += d * d;
    within += std::abs(d) <= 1 ? 1 : 0;
  }
  const double mse = squares / static_cast<double>(a.pixels.size());
  return {mse > 0 ? 10 * std::log10(255.0 * 255.0 / mse) : std::numeric_limits<double>::infinity(),
          static_cast<double>(within) / static_cast<double>(a.pixels.size())};
}

}  // namespace zimage
