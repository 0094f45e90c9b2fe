// zimage-bench: how near this machine's limits the program runs, and how far eight bits are from
// f32. See docs/PERFORMANCE.md.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "core/parallel.h"
#include "cpu/peaks.h"
#include "errors.h"
#include "full_size.h"
#include "measure.h"
#include "zimage/error.h"

namespace {

using namespace zimage::bench;

struct Arguments {
  std::vector<std::string> what{"operations"};
  std::string model, new_model, tokenizer;
  FullSize full_size;
  std::vector<std::int64_t> tokens{1088, 4160, 4608};
  std::vector<int> sizes{512};
  int rows = 256;
  int threads = 0;
  std::string dtype = "bf16";
  bool json = false;
};

void add_flags(CLI::App& app, Arguments& a) {
  app.add_option(
         "WHAT", a.what,
         "peaks, operations, formats, adapters, convolutions, block, forward, text, vae: what is "
         "timed; or error, "
         "alone: how far eight bits are from f32, in products or with --model in a forward")
      ->check(CLI::IsMember({"peaks", "operations", "formats", "adapters", "convolutions", "block",
                             "forward", "text", "vae", "error"}))
      ->capture_default_str();
  app.add_option(
      "-m,--model", a.model,
      "snapshot folder of the published size (block, forward, text, vae); for error any");
  CLI::Option* const make =
      app.add_option("--make-model", a.new_model, "write such a folder with random weights, 21 GB");
  app.add_option("--layers", a.full_size.layers, "fewer for --make-model, 1 to 30")
      ->check(CLI::Range(1, 30))
      ->needs(make);
  app.add_flag("--outliers", a.full_size.has_outliers,
               "give --make-model's transformer weights like trained ones")
      ->needs(make);
  app.add_option("--tokenizer", a.tokenizer, "snapshot that lends --make-model its tokenizer");
  app.add_option("--tokens", a.tokens, "of the operations, formats and adapters")
      ->capture_default_str();
  app.add_option("--size", a.sizes, "pixels per side")->capture_default_str();
  app.add_option("--dtype", a.dtype, "int8: the products of operations, block and forward")
      ->check(CLI::IsMember({"bf16", "int8"}))
      ->capture_default_str();
  app.add_option("--rows", a.rows, "of the products for error")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("-t,--threads", a.threads, "all processors of this process when not given")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--json", a.json, "one JSON object instead of lines");
}

void run_error(const Arguments& a) {
  std::vector<ErrorRow> rows;
  const AddErrorRow add = [&](const ErrorRow& row) {
    if (!a.json) print_errors(row, rows.empty());
    rows.push_back(row);
  };
  if (a.model.empty()) measure_products(a.rows, add);
  for (const int size : a.sizes) {
    if (!a.model.empty()) measure_velocity(a.model, size, add);
  }
  if (a.json) std::cout << json_of(rows) << std::endl;
}

// What needs no model; false for another word.
bool time_without_model(const std::string& what, const Arguments& a, Compute compute,
                        const AddRow& add) {
  if (what == "peaks") return true;  // are measured in any case
  if (what == "convolutions") {
    for (const int size : a.sizes) time_convolutions(size, compute.limit, add);
    return true;
  }
  const bool is_of_products = what == "operations" || what == "formats" || what == "adapters";
  for (const std::int64_t tokens : a.tokens) {
    if (what == "operations") time_operations(tokens, compute, add);
    if (what == "formats") time_formats(tokens, compute.limit, add);
    if (what == "adapters") time_adapters(tokens, compute.limit, add);
  }
  if (what == "adapters") time_adapters_loading(compute.limit, add);
  return is_of_products;
}

void run_times(const Arguments& a) {
  const zimage::Peaks peaks = zimage::cpu::measure_peaks();
  const Limit limit = bf16_limit(peaks);
  const Compute compute{.limit = limit, .is_int8 = a.dtype == "int8"};
  std::vector<Row> rows;
  if (!a.json) print_header(peaks);
  const AddRow add = [&](const Row& row) {
    rows.push_back(row);
    if (!a.json) print_row(row, peaks);
  };
  for (const std::string& what : a.what) {
    if (time_without_model(what, a, compute, add)) continue;
    if (a.model.empty()) throw zimage::UsageError(what + ": expected --model FOLDER");
    if (what == "text") {
      for (const int tokens : {64, 512}) time_text_encoder(a.model, tokens, limit, add);
      continue;
    }
    for (const int size : a.sizes) {
      if (what == "block") time_block(a.model, size, compute, add);
      if (what == "forward") time_forward(a.model, size, compute, add);
      if (what == "vae") time_vae(a.model, size, limit, add);
    }
  }
  if (a.json) std::cout << json_of(rows, peaks) << std::endl;
}

void run(const Arguments& a) {
  zimage::set_num_threads(a.threads > 0 ? a.threads : zimage::hardware_threads());
  if (!a.new_model.empty()) {
    make_full_size_model(a.new_model, a.tokenizer, a.full_size);
    return;
  }
  const bool has_error = std::find(a.what.begin(), a.what.end(), "error") != a.what.end();
  if (has_error && a.what.size() > 1) {
    throw zimage::UsageError("error: measured alone, expected no other word beside it");
  }
  has_error ? run_error(a) : run_times(a);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times the program's parts and relates them to the machine's peaks.",
               "zimage-bench");
  Arguments arguments;
  add_flags(app, arguments);
  CLI11_PARSE(app, argc, argv);
  try {
    run(arguments);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << std::endl;
    return 1;
  }
}
