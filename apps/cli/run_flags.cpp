#include "run_flags.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <string_view>

namespace zimage::cli {
namespace {

// Bytes of one unit, 0 for what is none.
double bytes_of_unit(std::string unit) {
  for (char& c : unit) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (unit == "B") return 1;
  const std::size_t power = std::string_view("KMGT").find(unit.empty() ? 'B' : unit[0]);
  if (power == std::string_view::npos) return 0;
  const std::string_view rest = std::string_view(unit).substr(1);
  const bool is_decimal = rest == "B";
  if (!is_decimal && !rest.empty() && rest != "IB") return 0;
  return std::pow(is_decimal ? 1000.0 : 1024.0, static_cast<double>(power + 1));
}

}  // namespace

std::uint64_t parse_bytes(const std::string& flag, const std::string& text) {
  double number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  std::string_view unit(end, static_cast<std::size_t>(last - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const double bytes = number * bytes_of_unit(std::string(unit));
  constexpr double kMost = 1e18;
  if (error != std::errc() || !(bytes >= 1) || bytes > kMost) {
    throw UsageError("--" + flag + " " + text +
                     ": expected a number above 0 with a unit, such as 8G or 6500M");
  }
  return static_cast<std::uint64_t>(bytes);
}

RunFlags::RunFlags(CLI::App& app) {
  app.add_option("--dtype", dtype_,
                 "compute type; auto is bf16, and int8 for weights that the file has so")
      ->type_name("auto|f32|bf16|int8")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}));
  app.add_option("--int8-keep", int8_keep_,
                 "with --dtype int8: weights that stay in bf16, by a part of their names "
                 "(layers.0, feed_forward.w2)")
      ->type_name("NAME,...")
      ->delimiter(',');
  app.add_option("-t,--threads", threads_, "all processors of this process when not given")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app.add_option_function<std::string>(
         "--max-memory",
         [this](const std::string& text) { max_memory_ = parse_bytes("max-memory", text); },
         "resident memory, weights included, such as 8G or 6500M; what the system has when not "
         "given")
      ->type_name("SIZE");
}

PipelineOptions RunFlags::options() const {
  PipelineOptions options;
  options.threads = threads_;
  options.max_memory = max_memory_;
  if (dtype_ == "f32") options.dtype = ComputeDtype::kF32;
  if (dtype_ == "bf16") options.dtype = ComputeDtype::kBf16;
  if (dtype_ == "int8") options.dtype = ComputeDtype::kInt8;
  options.int8_keep = int8_keep_;
  return options;
}

}  // namespace zimage::cli
