// zimage plan: what a run would take, before anything runs.
#include "zimage/plan.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "adapter_flags.h"
#include "commands.h"
#include "interrupt.h"
#include "log_lines.h"
#include "model_flags.h"
#include "option_flags.h"
#include "parse.h"
#include "picture_flags.h"
#include "progress.h"
#include "run_flags.h"

namespace zimage::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string gib(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GiB", static_cast<double>(bytes) / (1u << 30));
  return text;
}

// "1.2 s", "12 s", "4:30 min", "1:04 h".
std::string duration(double seconds) {
  char text[48];
  const long long whole = std::llround(seconds);
  if (seconds < 9.95) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (whole < 60) {
    std::snprintf(text, sizeof text, "%lld s", whole);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld min", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld h", whole / 3600, whole % 3600 / 60);
  }
  return text;
}

std::string how(const StagePlan& stage) {
  std::string notes;
  const auto add = [&](const std::string& note) { notes += (notes.empty() ? "" : "; ") + note; };
  if (stage.tile > 0) add("in tiles of " + std::to_string(stage.tile) + " pixels");
  if (stage.kept_layers < stage.layers) {
    add(std::to_string(stage.kept_layers) + " of " + std::to_string(stage.layers) +
        " layers stay, " + gib(stage.read_bytes) + " are read at each pass");
  }
  if (stage.read_seconds >= 0.05) add(duration(stage.read_seconds) + " to read from the disk");
  return notes;
}

void print(const RunPlan& plan) {
  for (const StagePlan& stage : plan.stages) {
    char line[96];
    std::snprintf(line, sizeof line, "%-14s %10s %12s", stage.stage.c_str(),
                  gib(stage.peak_bytes).c_str(), duration(stage.seconds).c_str());
    const std::string note = how(stage);
    std::cout << line << (note.empty() ? "" : "  ") << note << '\n';
  }
  std::cout << "peak " << gib(plan.peak_bytes) << " of " << gib(plan.limit_bytes)
            << (plan.limit_bytes < plan.available_bytes
                    ? " allowed, " + gib(plan.available_bytes) + " are available"
                    : " available")
            << "; about " << duration(plan.seconds) << '\n';
}

Json record_of(const RunPlan& plan) {
  Json stages = Json::array();
  for (const StagePlan& s : plan.stages) {
    stages.push_back({{"stage", s.stage},
                      {"peak_bytes", s.peak_bytes},
                      {"weight_bytes", s.weight_bytes},
                      {"tensor_bytes", s.tensor_bytes},
                      {"prompts", s.prompts},
                      {"layers", s.layers},
                      {"kept_layers", s.kept_layers},
                      {"read_bytes", s.read_bytes},
                      {"tile", s.tile},
                      {"operations", s.operations},
                      {"seconds", s.seconds},
                      {"read_seconds", s.read_seconds}});
  }
  return {{"peak_bytes", plan.peak_bytes},
          {"limit_bytes", plan.limit_bytes},
          {"available_bytes", plan.available_bytes},
          {"seconds", plan.seconds},
          {"stages", stages}};
}

}  // namespace

int plan(int argc, char** argv) {
  CLI::App app("Says what memory and time a picture would take; draws nothing.", "zimage plan");
  bool json = false;
  std::string prompt, network, network_file;
  app.add_option("PROMPT", prompt, "what to draw; the longest prompt when not given")
      ->type_name("TEXT");
  app.add_option("--controlnet-weights", network, "a control network runs as well")
      ->type_name("NETWORK");
  app.add_option("--control-file", network_file, "the file of a network's folder or repository")
      ->type_name("NAME");
  app.add_flag("--json", json, "one JSON record on stdout");
  const OptionFlags flags(app);
  const PictureFlags pictures(app);
  const ModelFlags model(app);
  const RunFlags how_to_run(app);
  const AdapterFlags adapters(app);
  if (!parse_arguments(app, argc, argv)) return kDone;

  ProgressDisplay display(!json);
  const LogLines log_lines(display);
  catch_interrupts();
  GenerateOptions given;
  pictures.read(given, display);
  flags.apply(given);
  check_inputs(given);
  PipelineOptions options = how_to_run.options();
  options.model = model.options(display);
  options.model.controlnet = network;
  options.model.control_file = network_file;
  adapters.choose(options);
  const Pipeline pipeline(model.model(), options);
  GenerateOptions picture = pipeline.defaults();
  picture.image = std::move(given.image);
  picture.mask = std::move(given.mask);
  flags.apply(picture);
  if (!prompt.empty()) picture.prompt = prompt;
  pictures.fit(flags, picture);
  adapters.report(pipeline, flags, picture, display);
  const RunPlan plan = pipeline.plan(picture);
  display.clear();
  if (json) {
    std::cout << record_of(plan).dump() << '\n';
  } else {
    print(plan);
  }
  return kDone;
}

}  // namespace zimage::cli
