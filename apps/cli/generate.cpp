// zimage generate and zimage control: pictures from text, pictures and maps.
#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "adapter_flags.h"
#include "commands.h"
#include "control_flags.h"
#include "interrupt.h"
#include "log_lines.h"
#include "model_flags.h"
#include "option_flags.h"
#include "output.h"
#include "parse.h"
#include "picture_flags.h"
#include "profile_report.h"
#include "progress.h"
#include "run_flags.h"
#include "zimage/metadata.h"

namespace zimage::cli {
namespace {

struct Arguments {
  std::string output, prompt;
  int quality = 95;
  bool no_metadata = false, no_progress = false, json = false, profile = false;
};

void add_flags(CLI::App& app, Arguments& a) {
  app.add_option("PROMPT", a.prompt, "what to draw (instead of --prompt)")->type_name("TEXT");
  app.add_option("-o,--output", a.output,
                 "file (.png, .jpg, .webp) or folder; zimage.png when not given")
      ->type_name("PATH");
  app.add_option("--quality", a.quality, "of JPEG and WebP, 1 to 100")
      ->type_name("N")
      ->check(CLI::Range(1, 100));
  app.add_flag("--no-metadata", a.no_metadata, "write no prompt and settings into the picture");
  app.add_flag("--no-progress", a.no_progress, "no progress on stderr");
  app.add_flag("--profile", a.profile, "where the time went, on stderr at the end");
  app.add_flag("--json", a.json, "one JSON record on stdout instead of the paths");
}

std::uint64_t random_seed() {
  std::random_device device;
  return device();  // 32 bits are easy to type again
}

std::string dump(const nlohmann::ordered_json& record) {
  return record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The record of a picture, with the names of the files that it came from.
std::string with_inputs(const std::string& record_json, const InputFlags& pictures) {
  auto record = nlohmann::ordered_json::parse(record_json);
  pictures.note_in(record);
  return dump(record);
}

int run(const Arguments& a, const OptionFlags& flags, const InputFlags& pictures,
        const ModelFlags& model, const RunFlags& how_to_run, const AdapterFlags& adapters) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  ProgressDisplay display(!a.no_progress);
  const LogLines log_lines(display);

  catch_interrupts();
  GenerateOptions given;  // what is wrong in it shows before anything is loaded or fetched
  pictures.read(given, display);
  flags.apply(given);
  check_inputs(given);
  PipelineOptions how = how_to_run.options();
  how.model = model.options(display);
  pictures.choose_network(how.model);
  adapters.choose(how);
  Pipeline pipeline(model.model(), how);
  const std::string name = model.shown_model();
  GenerateOptions options = pipeline.defaults();
  options.image = std::move(given.image);
  options.mask = std::move(given.mask);
  options.control = std::move(given.control);
  flags.apply(options);
  if (!a.prompt.empty()) options.prompt = a.prompt;
  pictures.fit(flags, options);
  if (!flags.is_given("seed")) options.seed = random_seed();
  pipeline.check_options(options);
  adapters.report(pipeline, flags, options, display);
  pictures.finish(options, display);
  const OutputPlan plan = plan_outputs(a.output, options.num_images);
  check_outputs(plan, options.width, options.height);
  if (!flags.is_given("seed") && a.no_progress) std::cerr << "seed " << options.seed << std::endl;

  options.is_cancelled = is_interrupted;
  options.on_progress = [&](const Progress& progress) { display.show(progress); };
  auto record = nlohmann::ordered_json::parse(
      record_json(options, name, pipeline.compute_dtype(), pipeline.adapters()));
  pictures.note_in(record);
  if (a.profile) {
    options.on_profile = [&](const Profile& profile) {
      display.print(profile_text(profile));
      record["profile"] = profile_json(profile);
    };
  }
  pipeline.generate(options, [&](int i, const Image& image, const Drawing& how) {
    EncodeOptions encode{.quality = a.quality, .metadata = {}};
    if (!a.no_metadata) {
      encode.metadata =
          metadata_of(options, i, how, name, pipeline.compute_dtype(), pipeline.adapters());
      encode.metadata.zimage_json = with_inputs(encode.metadata.zimage_json, pictures);
    }
    const std::string path = write_output(plan, i, image, encode).string();
    display.clear();
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(i);
    record["images"].push_back({{"path", path}, {"seed", seed}});
    if (options.step_cache != StepCache::kOff) {
      record["images"].back()["computed_updates"] = how.updates;
    }
    if (!a.json) std::cout << path << std::endl;
    if (!a.no_progress) {
      std::cerr << options.width << 'x' << options.height << ", seed " << seed << ", "
                << std::chrono::duration<double>(Clock::now() - start).count() << " s" << std::endl;
    }
  });
  record["seconds"] = std::chrono::duration<double>(Clock::now() - start).count();
  if (a.json) std::cout << dump(record) << std::endl;
  return kDone;
}

template <class Flags>
int draw(CLI::App& app, int argc, char** argv, const OptionFlags::Names& without) {
  Arguments arguments;
  add_flags(app, arguments);
  OptionFlags flags(app, without);
  Flags pictures(app);
  ModelFlags model(app);
  RunFlags how_to_run(app);
  AdapterFlags adapters(app);
  if (!parse_arguments(app, argc, argv)) return kDone;
  const bool has_prompt = flags.is_given("prompt");
  if (has_prompt == !arguments.prompt.empty()) {
    throw UsageError(has_prompt
                         ? "--prompt and a second prompt without a flag: expected one of them"
                         : "no prompt: expected --prompt TEXT");
  }
  return run(arguments, flags, pictures, model, how_to_run, adapters);
}

}  // namespace

int generate(int argc, char** argv) {
  CLI::App app("Draws pictures from text, and from a picture and text.", "zimage generate");
  return draw<PictureFlags>(app, argc, argv, {});
}

int control(int argc, char** argv) {
  CLI::App app("Draws pictures that a control network steers.", "zimage control");
  return draw<ControlFlags>(app, argc, argv, {"strength"});
}

}  // namespace zimage::cli
