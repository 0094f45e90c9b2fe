#include "zimage/quantize.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "commands.h"
#include "interrupt.h"
#include "log_lines.h"
#include "model_flags.h"
#include "parse.h"
#include "progress.h"
#include "zimage/error.h"

namespace zimage::cli {

int quantize(int argc, char** argv) {
  CLI::App app("Writes a model's transformer with weights of eight bits.", "zimage quantize");
  const ModelFlags model(app);
  std::string output, format = "int8-convrot";
  QuantizeOptions options;
  bool no_progress = false;
  app.add_option("-o,--output", output, "the .safetensors file")->required()->type_name("FILE");
  app.add_option("--format", format, "ComfyUI's int8_tensorwise with rows turned by convrot")
      ->type_name("int8-convrot")
      ->check(CLI::IsMember({"int8-convrot"}))
      ->capture_default_str();
  app.add_option("--keep", options.keep,
                 "weights that stay in bf16, by a part of their names (layers.0, feed_forward.w2)")
      ->type_name("NAME,...")
      ->delimiter(',');
  app.add_flag("--no-progress", no_progress, "no progress on stderr");
  if (!parse_arguments(app, argc, argv)) return kDone;

  ProgressDisplay display(!no_progress);
  const LogLines log_lines(display);
  catch_interrupts();
  options.model = model.options(display);
  options.on_progress = [&](int done, int tensors) {
    if (is_interrupted()) throw Cancelled("cancelled");
    display.show("quantising", done, tensors);
  };
  quantize_int8(model.model(), output, options);
  display.clear();
  std::cout << output << '\n';
  return kDone;
}

}  // namespace zimage::cli
