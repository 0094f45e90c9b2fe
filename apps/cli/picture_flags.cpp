#include "picture_flags.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "zimage/outpaint.h"

namespace zimage::cli {
namespace {

constexpr int kMultiple = 16;                      // of the sizes that are drawn
constexpr int kSmallest = 64, kLargest = 1 << 16;  // pixels of a side
constexpr double kMaxShare = 2;                    // of the pixels of the model's own size

Margins parse_margins(const std::string& text) {
  std::array<int, 4> values{};
  const char *at = text.data(), *const end = at + text.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, values[i]);
    const bool is_last = i + 1 == values.size();
    const bool is_followed = is_last ? next == end : next != end && *next == ',';
    if (error != std::errc() || !is_followed) {
      throw UsageError("--outpaint " + text +
                       ": expected LEFT,TOP,RIGHT,BOTTOM, pixels to add on each side");
    }
    at = is_last ? next : next + 1;
  }
  return {values[0], values[1], values[2], values[3]};
}

bool is_transparent(const DecodedImage& decoded) {
  return std::any_of(decoded.alpha.begin(), decoded.alpha.end(), [](int a) { return a != 255; });
}

// White where the picture is transparent.
Image mask_of_alpha(const DecodedImage& decoded, const std::string& path) {
  if (!is_transparent(decoded)) {
    throw UsageError("--mask alpha: " + path +
                     " has no transparent pixels; expected a picture with some, or a mask file");
  }
  Image mask{decoded.image.width, decoded.image.height, {}};
  for (const std::uint8_t alpha : decoded.alpha) {
    mask.pixels.insert(mask.pixels.end(), 3, static_cast<std::uint8_t>(255 - alpha));
  }
  return mask;
}

int rounded(double pixels) {
  // What is too large is said by further checks.
  return static_cast<int>(std::clamp(pixels, 0.0, 1.0 * kLargest)) / kMultiple * kMultiple;
}

std::string size_text(int width, int height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

}  // namespace

PictureFlags::PictureFlags(CLI::App& app) {
  app.add_option("-i,--image", image_, "picture to start from (image to image)")->type_name("FILE");
  app.add_option("--mask", mask_,
                 "white is drawn anew, black is kept (inpainting); alpha: the picture's "
                 "transparent part")
      ->type_name("FILE|alpha");
  app.add_option("--outpaint", outpaint_, "pixels to add to the picture on each side")
      ->type_name("L,T,R,B");
}

void PictureFlags::read(GenerateOptions& options, ProgressDisplay& display) const {
  if (image_.empty()) {
    for (const auto& [flag, value] : {std::pair{"--mask", mask_}, {"--outpaint", outpaint_}}) {
      if (!value.empty()) throw UsageError(std::string(flag) + ": expected --image FILE with it");
    }
    return;
  }
  if (mask_ == "alpha") {
    DecodedImage decoded = read_image(image_);
    options.mask = mask_of_alpha(decoded, image_);
    options.image = std::move(decoded.image);
  } else {
    options.image = read_opaque(image_, display);
    if (!mask_.empty()) options.mask = read_mask(mask_);
  }
  if (outpaint_.empty()) return;
  OutpaintInput canvas = outpaint(*options.image, parse_margins(outpaint_), options.mask);
  options.image = std::move(canvas.image);
  options.mask = std::move(canvas.mask);
}

void PictureFlags::fit(const OptionFlags& flags, GenerateOptions& options) const {
  if (options.image) fit_size(*options.image, image_, flags, options);
}

void PictureFlags::finish(GenerateOptions& options, ProgressDisplay& display) const {
  if (options.image) note_size(*options.image, image_, options, display);
  const bool has_mask_file = options.mask && mask_ != "alpha" && outpaint_.empty();
  if (has_mask_file) note_size(*options.mask, mask_, options, display);
}

void PictureFlags::note_in(nlohmann::ordered_json& record) const {
  if (!image_.empty()) record["image"] = file_name(image_);
  if (!mask_.empty()) record["mask"] = file_name(mask_);
  if (!outpaint_.empty()) record["outpaint"] = outpaint_;
}

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

Image read_opaque(const std::string& path, ProgressDisplay& display) {
  DecodedImage decoded = read_image(path);
  if (is_transparent(decoded)) display.note(path + ": its transparency is left out");
  return std::move(decoded.image);
}

Image read_mask(const std::string& path) {
  DecodedImage decoded = read_image(path);
  for (std::size_t i = 0; i < decoded.alpha.size(); ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      std::uint8_t& value = decoded.image.pixels[3 * i + c];
      value = static_cast<std::uint8_t>((value * decoded.alpha[i] + 127) / 255);
    }
  }
  return std::move(decoded.image);
}

void note_size(const Image& picture, const std::string& path, const GenerateOptions& options,
               ProgressDisplay& display) {
  if (options.width == picture.width && options.height == picture.height) return;
  const double stretch =
      double{1} * options.width * picture.height / picture.width / options.height;
  constexpr double kSeen = 0.02;
  display.note(path + ": " + size_text(picture.width, picture.height) + " pixels, resized to " +
               size_text(options.width, options.height) +
               (std::abs(std::log(stretch)) > kSeen ? ", which stretches it" : ""));
}

void fit_size(const Image& picture, const std::string& path, const OptionFlags& flags,
              GenerateOptions& options) {
  const bool has_width = flags.is_given("width"), has_height = flags.is_given("height");
  const auto is_wrong_side = [](int side) { return side < kSmallest || side > kLargest; };
  const bool is_wrong =
      (has_width && is_wrong_side(options.width)) || (has_height && is_wrong_side(options.height));
  if ((has_width && has_height) || is_wrong) return;  // what is wrong is said by further checks
  const double width = picture.width, height = picture.height;
  if (!has_width && !has_height) {
    const double largest = kMaxShare * options.width * options.height;
    const double scale = std::min(1.0, std::sqrt(largest / (width * height)));
    options.width = rounded(width * scale);
    options.height = rounded(height * scale);
  } else if (!has_width) {
    options.width = rounded(options.height * width / height);
  } else {
    options.height = rounded(options.width * height / width);
  }
  if (options.width < kSmallest || options.height < kSmallest) {
    throw UsageError(path + ": " + size_text(picture.width, picture.height) +
                     " pixels make a picture of " + size_text(options.width, options.height) +
                     ", expected at least 64 on each side; -W and -H set the size");
  }
}

}  // namespace zimage::cli
