// zimage preprocess: the map that a control network is shown, made of a photo.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "commands.h"
#include "control_flags.h"
#include "output.h"
#include "parse.h"
#include "picture_flags.h"

namespace zimage::cli {

int preprocess(int argc, char** argv) {
  CLI::App app("Makes a control map of a photo.", "zimage preprocess");
  std::string photo, output;
  int width = 0, height = 0;
  app.add_option("PHOTO", photo, "PNG, JPEG or WebP")->type_name("FILE")->required();
  app.add_option("-o,--output", output,
                 "file (.png, .jpg, .webp) or folder; zimage.png when not given")
      ->type_name("PATH");
  app.add_option("-W,--width", width, "pixels of the map; as the photo's when not given")
      ->type_name("N")
      ->check(CLI::Range(1, 16384));
  app.add_option("-H,--height", height, "pixels of the map; the photo's when not given")
      ->type_name("N")
      ->check(CLI::Range(1, 16384));
  ControlMapFlags map(app, "--control-type,--type", "canny");
  if (!parse_arguments(app, argc, argv)) return kDone;

  map.check();
  ProgressDisplay display(true);
  const Image image = read_opaque(photo, display);
  const auto scaled = [](int side, int to, int from) {
    return std::max(1, static_cast<int>(std::int64_t{side} * to / from));
  };
  if (width == 0) width = height > 0 ? scaled(image.width, height, image.height) : image.width;
  if (height == 0) height = scaled(image.height, width, image.width);
  const OutputPlan plan = plan_outputs(output, 1);
  check_outputs(plan, width, height);
  std::cout << write_output(plan, 0, map.make(image, width, height), {}).string() << std::endl;
  return kDone;
}

}  // namespace zimage::cli
