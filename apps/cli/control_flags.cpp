#include "control_flags.h"

#include <array>

#include "picture_flags.h"

namespace zimage::cli {

ControlMapFlags::ControlMapFlags(CLI::App& app, const std::string& type_flag,
                                 const std::string& default_type)
    : type_(default_type) {
  app.add_option(type_flag, type_,
                 "what is made of the photo first: canny (edges), gray, or none for a finished map")
      ->type_name("canny|gray|none")
      ->check(CLI::IsMember({"canny", "gray", "none"}))
      ->capture_default_str();
  low_ = app.add_option("--canny-low", canny_.low, "weaker edges count only beside stronger ones")
             ->type_name("F")
             ->capture_default_str();
  high_ = app.add_option("--canny-high", canny_.high, "edges that count in any case")
              ->type_name("F")
              ->capture_default_str();
}

void ControlMapFlags::check() const {
  if (type_ == "canny") return check_canny(canny_);
  for (const CLI::Option* option : {low_, high_}) {
    if (option->count() > 0) {
      throw UsageError(option->get_name() + ": expected a control type of canny with it, not " +
                       type_);
    }
  }
}

Image ControlMapFlags::make(const Image& photo, int width, int height) const {
  return make_control_map(photo, *control_type_of(type_), width, height, canny_);
}

ControlFlags::ControlFlags(CLI::App& app) : map_(app, "--control-type", "none") {
  app.add_option("-c,--control-image", control_image_,
                 "the map that steers the picture, or a photo with --control-type")
      ->type_name("FILE");
  app.add_option("-i,--inpaint-image", inpaint_image_, "the picture around the repainted part")
      ->type_name("FILE");
  app.add_option("--mask,--mask-image", mask_, "white is repainted, black is kept")
      ->type_name("FILE");
  app.add_option("--control-scale,--cs", scale_, "how strongly; 0.65 to 1 is advised")
      ->type_name("F")
      ->capture_default_str();
  app.add_option("--controlnet-weights,--cw", weights_,
                 "the control network: a hub id[:revision], a folder or a .safetensors file")
      ->type_name("MODEL");
  app.add_option("--control-file,--cf", file_, "the file to use, where there are several")
      ->type_name("NAME");
}

void ControlFlags::choose_network(ModelOptions& options) const {
  options.controlnet = weights_;
  options.control_file = file_;
}

void ControlFlags::read(GenerateOptions& options, ProgressDisplay& display) const {
  if (control_image_.empty() && inpaint_image_.empty() && mask_.empty()) {
    throw UsageError("no picture: expected --control-image, --inpaint-image or --mask FILE");
  }
  if (weights_.empty()) {
    throw UsageError(
        "no control network: expected --controlnet-weights MODEL, for example "
        "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1");
  }
  map_.check();
  if (map_.type() != "none" && control_image_.empty()) {
    throw UsageError("--control-type " + map_.type() + ": expected --control-image FILE with it");
  }
  ControlInputs& control = options.control;
  control.scale = scale_;
  if (!control_image_.empty()) control.image = read_opaque(control_image_, display);
  if (!inpaint_image_.empty()) control.inpaint_image = read_opaque(inpaint_image_, display);
  if (!mask_.empty()) control.mask = read_mask(mask_);
}

std::array<ControlFlags::Picture, 3> ControlFlags::pictures(const ControlInputs& control) const {
  return {{{&control.inpaint_image, &inpaint_image_},
           {&control.image, &control_image_},
           {&control.mask, &mask_}}};
}

void ControlFlags::fit(const OptionFlags& flags, GenerateOptions& options) const {
  for (const auto& [picture, path] : pictures(options.control)) {
    if (*picture) return fit_size(**picture, *path, flags, options);
  }
}

void ControlFlags::finish(GenerateOptions& options, ProgressDisplay& display) const {
  for (const auto& [picture, path] : pictures(options.control)) {
    if (*picture) note_size(**picture, *path, options, display);
  }
  std::optional<Image>& image = options.control.image;
  if (image) image = map_.make(*image, options.width, options.height);
}

void ControlFlags::note_in(nlohmann::ordered_json& record) const {
  record["controlnet"] = weights_;
  if (!file_.empty()) record["control_file"] = file_;
  record["control_scale"] = scale_;
  if (!control_image_.empty()) {
    record["control_image"] = file_name(control_image_);
    record["control_type"] = map_.type();
  }
  if (!inpaint_image_.empty()) record["inpaint_image"] = file_name(inpaint_image_);
  if (!mask_.empty()) record["mask"] = file_name(mask_);
}

}  // namespace zimage::cli
