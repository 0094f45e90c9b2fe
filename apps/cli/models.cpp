// zimage models, zimage inspect, zimage download: what models there are and what they are.
#include "zimage/models.h"

#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "interrupt.h"
#include "log_lines.h"
#include "model_flags.h"
#include "parse.h"

namespace zimage::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

void print_entry(const ModelEntry& entry) {
  const std::string name = entry.alias.empty() ? entry.id : entry.alias;
  std::cout << std::left << std::setw(12) << name << "  " << std::setw(14) << entry.state << "  "
            << std::setw(9)
            << (entry.bytes > 0 ? bytes_text(static_cast<double>(entry.bytes)) : "-");
  if (!entry.alias.empty()) {
    std::cout << "  " << (entry.id.empty() ? "" : entry.id + ": ") << entry.description;
  }
  std::cout << '\n';
}

// An entry of an object, or an empty one of that kind.
Json entry_or(const Json& json, const char* key, const Json& fallback) {
  return json.contains(key) ? json.at(key) : fallback;
}

// "12 tensors BF16, 3 tensors F32"
void print_dtypes(const Json& component) {
  const Json dtypes = entry_or(component, "dtypes", Json::object());
  for (const auto& [dtype, count] : dtypes.items()) {
    std::cout << ", " << count.at("tensors") << " tensors " << dtype;
  }
}

void print_faults(const Json& component) {
  const Json missing = entry_or(component, "missing", Json::array());
  const Json mismatched = entry_or(component, "mismatched", Json::array());
  const Json unreadable = entry_or(component, "unreadable", Json::array());
  const Json surplus = entry_or(component, "surplus", Json::array());
  for (const auto& name : missing) {
    std::cout << "    missing: " << name.get<std::string>() << '\n';
  }
  for (const auto& m : mismatched) {
    std::cout << "    " << m.at("name").get<std::string>() << " is "
              << m.at("shape").get<std::string>() << ", expected "
              << m.at("expected").get<std::string>() << '\n';
  }
  for (const auto& tensor : unreadable) {
    std::cout << "    " << tensor.at("name").get<std::string>() << " is "
              << tensor.at("dtype").get<std::string>() << ", expected floating-point numbers\n";
  }
  for (const auto& name : surplus) {
    std::cout << "    surplus: " << name.get<std::string>() << '\n';
  }
}

void print_component(const Json& component) {
  if (component.contains("file")) {
    std::cout << component.at("file").get<std::string>() << '\n';
    return;
  }
  std::cout << component.at("parameters") << " parameters";
  print_dtypes(component);
  if (component.contains("prefix") && !component.at("prefix").empty()) {
    std::cout << ", prefix \"" << component.at("prefix").get<std::string>() << '"';
  }
  std::cout << '\n';
  const Json files = entry_or(component, "files", Json::array());
  for (const auto& file : files) {
    std::cout << "    " << file.at("path").get<std::string>() << "  "
              << bytes_text(file.at("bytes").get<double>()) << '\n';
  }
  print_faults(component);
}

void print_adapter(const Json& adapter) {
  std::cout << "  " << adapter.at("modules") << " modules";
  for (const auto& [kind, modules] : adapter.at("kinds").items()) {
    std::cout << ", " << kind << " of " << modules;
  }
  if (adapter.contains("largest_rank")) {
    std::cout << ", rank " << adapter.at("smallest_rank");
    if (adapter.at("largest_rank") != adapter.at("smallest_rank")) {
      std::cout << " to " << adapter.at("largest_rank");
    }
  }
  std::cout << '\n';
  for (const auto& name : adapter.at("without_place")) {
    std::cout << "    without a place in the transformer: " << name.get<std::string>() << '\n';
  }
  for (const auto& name : adapter.at("repeated")) {
    std::cout << "    left out, there under finer names, too: " << name.get<std::string>() << '\n';
  }
}

void print_inspection(const Json& json) {
  std::cout << json.at("path").get<std::string>() << ": " << json.at("kind").get<std::string>();
  if (json.contains("family"))
    std::cout << " of the family " << json.at("family").get<std::string>();
  std::cout << '\n';
  const Json components = entry_or(json, "components", Json::object());
  for (const auto& [name, component] : components.items()) {
    std::cout << "  " << name << ": ";
    print_component(component);
  }
  if (json.contains("adapter")) print_adapter(json.at("adapter"));
  if (json.contains("is_complete")) {
    std::cout << (json.at("is_complete").get<bool>() ? "complete" : "not usable as it is") << '\n';
  }
}

void print_plan(const DownloadPlan& plan, bool as_json) {
  double missing = 0;
  Json files = Json::array();
  for (const DownloadItem& item : plan.items) {
    if (!item.is_cached) missing += static_cast<double>(item.bytes);
    files.push_back({{"path", item.path}, {"bytes", item.bytes}, {"is_cached", item.is_cached}});
    if (as_json) continue;
    std::cout << std::left << std::setw(8) << (item.is_cached ? "cached" : "missing") << std::right
              << std::setw(10) << bytes_text(static_cast<double>(item.bytes)) << "  " << item.path
              << '\n';
  }
  if (as_json) {
    std::cout << dump({{"repo", plan.repo},
                       {"commit", plan.commit},
                       {"folder", plan.folder.string()},
                       {"files", files}})
              << '\n';
  } else {
    std::cout << bytes_text(missing) << " to download to " << plan.folder.string() << '\n';
  }
}

}  // namespace

int models(int argc, char** argv) {
  CLI::App app("Lists the known models and those in the Hugging Face cache.", "zimage models");
  bool json = false;
  app.add_flag("--json", json, "one JSON array on stdout");
  if (!parse_arguments(app, argc, argv)) return kDone;
  Json list = Json::array();
  for (const ModelEntry& entry : list_models()) {
    if (!json) print_entry(entry);
    list.push_back({{"alias", entry.alias},
                    {"id", entry.id},
                    {"description", entry.description},
                    {"state", entry.state},
                    {"bytes", entry.bytes},
                    {"folder", entry.folder.string()}});
  }
  if (json) std::cout << dump(list) << '\n';
  return kDone;
}

int inspect(int argc, char** argv) {
  CLI::App app("Says what a snapshot folder or a checkpoint file is.", "zimage inspect");
  std::string path;
  bool json = false;
  app.add_option("PATH", path, "folder or file")->required()->type_name("PATH");
  app.add_flag("--json", json, "one JSON record on stdout");
  if (!parse_arguments(app, argc, argv)) return kDone;
  const std::string record = inspect_model(path);
  if (json) {
    std::cout << record << '\n';
  } else {
    print_inspection(Json::parse(record));
  }
  return kDone;
}

int download(int argc, char** argv) {
  CLI::App app("Fetches a model from the Hugging Face hub into its cache.", "zimage download");
  std::string model, variant;
  bool dry_run = false, json = false, no_progress = false;
  app.add_option("MODEL", model, "hub id[:revision][:FILE] or alias; turbo when not given")
      ->type_name("ID");
  app.add_option("--weights-variant", variant, "fp16, bf16, ...: files of that variant")
      ->type_name("NAME");
  app.add_flag("--dry-run", dry_run, "only list what would be fetched");
  app.add_flag("--no-progress", no_progress, "no progress on stderr");
  app.add_flag("--json", json, "one JSON record on stdout");
  if (!parse_arguments(app, argc, argv)) return kDone;

  ProgressDisplay display(!no_progress);
  const LogLines log_lines(display);
  catch_interrupts();
  ModelOptions options;
  options.weights_variant = variant;
  options.is_cancelled = is_interrupted;
  options.on_download = [&](const DownloadProgress& progress) { display.show(progress); };
  if (dry_run) {
    print_plan(plan_download(model, options), json);
    return kDone;
  }
  const std::string folder = download_model(model, options).string();
  display.clear();
  std::cout << (json ? dump(Json{{"folder", folder}}) : folder) << '\n';
  return kDone;
}

}  // namespace zimage::cli
