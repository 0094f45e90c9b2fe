#include "zimage/quantize.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "commands.h"
#include "interrupt.h"
#include "log_lines.h"
#include "model_flags.h"
#include "parse.h"
#include "progress.h"
#include "zimage/error.h"

namespace zimage::cli {
namespace {

constexpr const char* kInt8 = "int8-convrot";

// --bits, --group-size, --mode, and what is shown on the way.
class MlxFlags {
 public:
  explicit MlxFlags(CLI::App& app) : app_(app) {
    app.add_option("--bits", options_.bits, "of a weight: 4 or 8")->capture_default_str();
    app.add_option("--group-size", options_.group_size,
                   "channels that share a scale: 32, 64 or 128")
        ->capture_default_str();
    app.add_option("--mode", options_.mode, "affine, or mxfp4 (4 bits, groups of 32)")
        ->type_name("affine|mxfp4")
        ->check(CLI::IsMember({"affine", "mxfp4"}))
        ->capture_default_str();
    app.add_flag("--verbose", is_verbose_, "name each tensor on stderr");
    app.add_flag("--no-progress", no_progress_, "no progress on stderr");
  }

  bool has_progress() const { return !no_progress_; }
  // Throws UsageError for those that another format has no use for.
  void check_unused(const std::string& format) const {
    for (const char* flag : {"--bits", "--group-size", "--mode", "--verbose"}) {
      if (app_.count(flag) == 0) continue;
      throw UsageError(std::string(flag) + ": is for --format mlx, but the format is " + format);
    }
  }
  MlxOptions options(ProgressDisplay& display) const {
    MlxOptions options = options_;
    if (options.mode == "mxfp4" && app_.count("--bits") == 0) options.bits = 4;  // it has no other
    options.on_progress = [&display](int done, int tensors) {
      if (is_interrupted()) throw Cancelled("cancelled");
      display.show("quantising", done, tensors);
    };
    if (!is_verbose_) return options;
    options.on_tensor = [&display](const std::string& tensor, bool is_quantized) {
      display.clear();
      std::cerr << tensor << (is_quantized ? ": quantised" : ": kept") << '\n';
    };
    return options;
  }

 private:
  const CLI::App& app_;
  MlxOptions options_;
  bool is_verbose_ = false, no_progress_ = false;
};

// "mlx" is a folder, the other format a file.
std::string format_of(const std::string& given, const std::string& output) {
  if (!given.empty()) return given;
  return std::filesystem::path(output).extension() == ".safetensors" ? kInt8 : "mlx";
}

// --input names a folder, --model whatever `generate` takes.
std::string model_of(const CLI::App& app, const ModelFlags& model, const std::string& input) {
  if (app.count("--input") == 0) return model.model();
  if (app.count("--model") > 0) throw UsageError("--input: expected without --model");
  if (!std::filesystem::is_directory(input)) {
    throw Error("--input " + input + ": no such folder; expected a model's folder");
  }
  return input;
}

void write_int8(const std::string& model, const std::string& output, QuantizeOptions options,
                ProgressDisplay& display) {
  options.on_progress = [&](int done, int tensors) {
    if (is_interrupted()) throw Cancelled("cancelled");
    display.show("quantising", done, tensors);
  };
  quantize_int8(model, output, options);
}

}  // namespace

int quantize(int argc, char** argv) {
  CLI::App app("Writes a model with weights of fewer bits.", "zimage quantize");
  const ModelFlags model(app);
  std::string input, output, format;
  QuantizeOptions int8;
  app.add_option("-i,--input", input, "the model's folder, in place of --model")->type_name("DIR");
  app.add_option("-o,--output", output, "mlx: a new folder; int8-convrot: the .safetensors file")
      ->required()
      ->type_name("PATH");
  app.add_option("--format", format,
                 "mlx: the model in MLX's formats; int8-convrot: its transformer as ComfyUI's "
                 "int8_tensorwise with rows turned by convrot (by --output's ending)")
      ->type_name("mlx|int8-convrot")
      ->check(CLI::IsMember({"mlx", kInt8}));
  const MlxFlags mlx(app);
  app.add_option("--keep", int8.keep,
                 "int8-convrot: weights that stay in bf16, by a part of their names (layers.0, "
                 "feed_forward.w2)")
      ->type_name("NAME,...")
      ->delimiter(',');
  if (!parse_arguments(app, argc, argv)) return kDone;

  format = format_of(format, output);
  ProgressDisplay display(mlx.has_progress());
  const LogLines log_lines(display);
  catch_interrupts();
  const std::string name = model_of(app, model, input);
  if (format == kInt8) {
    mlx.check_unused(format);
    int8.model = model.options(display);
    write_int8(name, output, int8, display);
  } else {
    if (!int8.keep.empty()) throw UsageError("--keep: is for --format int8-convrot");
    MlxOptions options = mlx.options(display);
    options.model = model.options(display);
    quantize_mlx(name, output, options);
  }
  display.clear();
  std::cout << output << '\n';
  return kDone;
}

int quantize_controlnet(int argc, char** argv) {
  CLI::App app("Writes a control network in MLX's formats.", "zimage quantize-controlnet");
  std::string input, file, output;
  app.add_option("-i,--input", input, "a .safetensors file, a folder or a hub id[:revision]")
      ->required()
      ->type_name("PATH|ID");
  app.add_option("-f,--file", file, "the file to take of several")->type_name("NAME");
  app.add_option("-o,--output", output, "a new folder")->required()->type_name("DIR");
  const MlxFlags mlx(app);
  if (!parse_arguments(app, argc, argv)) return kDone;

  ProgressDisplay display(mlx.has_progress());
  const LogLines log_lines(display);
  catch_interrupts();
  MlxOptions options = mlx.options(display);
  options.model.on_download = [&display](const DownloadProgress& p) { display.show(p); };
  options.model.is_cancelled = is_interrupted;
  quantize_control_mlx(input, file, output, options);
  display.clear();
  std::cout << output << '\n';
  return kDone;
}

}  // namespace zimage::cli
