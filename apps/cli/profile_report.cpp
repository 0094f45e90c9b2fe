#include "profile_report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace zimage::cli {
namespace {

constexpr double kShownShare = 0.002;  // of the run; operations below share a line

std::string line(const char* format, ...) __attribute__((format(printf, 1, 2)));

std::string line(const char* format, ...) {
  char text[160];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return text;
}

std::string peak_text(const char* name, double peak, const char* unit) {
  if (peak <= 0) return std::string(name) + " -";
  return line("%s %.4g %s", name, peak, unit);
}

std::string shown_name(const OpProfile& op) {
  std::string text = op.name;
  for (std::size_t i = 0; i < op.shape.size(); ++i) {
    text += (i == 0 ? ' ' : 'x') + std::to_string(op.shape[i]);
  }
  return op.dtype == "BF16" ? text : text + ' ' + op.dtype;
}

double share_of_peak(double seconds_at_peak, double seconds) {
  return seconds > 0 ? seconds_at_peak / seconds : 0;
}

// Name, seconds, percent of the run, calls.
std::string row(const std::string& name, double seconds, double all, std::int64_t calls) {
  const std::string count = calls > 0 ? std::to_string(calls) : "";
  return line("%-46.46s %9.3f %6.1f %7s", name.c_str(), seconds, 100 * seconds / all,
              count.c_str());
}

std::string op_row(const OpProfile& op, const Profile& profile) {
  const bool by_memory = is_bound_by_memory(op, profile.peaks);
  const double amount = by_memory ? op.bytes : op.flop;
  return row("  " + shown_name(op), op.seconds, profile.seconds, op.calls) +
         line(" %9.1f %-8s %6.1f\n", op.seconds > 0 ? amount / op.seconds / 1e9 : 0,
              by_memory ? "GB/s" : "GFLOP/s",
              100 * share_of_peak(seconds_at_peak(op, profile.peaks), op.seconds));
}

std::string stage_rows(const StageProfile& stage, const Profile& profile) {
  double at_peak = 0, small = 0;
  std::int64_t small_calls = 0;
  for (const OpProfile& op : stage.ops) at_peak += seconds_at_peak(op, profile.peaks);
  std::string text = row(stage.name, stage.seconds, profile.seconds, stage.calls) +
                     line(" %9.1f %-8s %6.1f\n", stage.flop() / stage.seconds / 1e9, "GFLOP/s",
                          100 * share_of_peak(at_peak, stage.seconds));
  for (const OpProfile& op : stage.ops) {
    if (op.seconds >= kShownShare * profile.seconds) {
      text += op_row(op, profile);
    } else {
      small += op.seconds;
      small_calls += op.calls;
    }
  }
  if (small_calls > 0) {
    text += row("  operations of less than 0.2 %", small, profile.seconds, small_calls) + '\n';
  }
  return text +
         row("  no operation", std::max(0.0, stage.seconds - stage.op_seconds()), profile.seconds,
             0) +
         '\n';
}

double outside_stages(const Profile& profile) {
  double rest = profile.seconds;
  for (const StageProfile& stage : profile.stages) rest -= stage.seconds;
  return std::max(0.0, rest);
}

nlohmann::ordered_json op_json(const OpProfile& op, const Peaks& peaks) {
  return {{"name", op.name},
          {"shape", op.shape},
          {"dtype", op.dtype},
          {"calls", op.calls},
          {"seconds", op.seconds},
          {"flop", op.flop},
          {"bytes", op.bytes},
          {"bound", is_bound_by_memory(op, peaks) ? "memory" : "arithmetic"},
          {"share_of_peak", share_of_peak(seconds_at_peak(op, peaks), op.seconds)}};
}

}  // namespace

std::string profile_text(const Profile& profile) {
  std::string text = line("profile: %d threads, %s; peaks: ", profile.threads, profile.isa.c_str());
  text += peak_text("f32", profile.peaks.f32, "GFLOP/s") + ", ";
  text += peak_text("bf16", profile.peaks.bf16, "GFLOP/s") + ", ";
  text += peak_text("int8", profile.peaks.int8, "GOP/s") + ", ";
  text += peak_text("memory", profile.peaks.memory, "GB/s") + '\n';
  text += line("%-46s %9s %6s %7s %18s %6s\n", "", "s", "%", "calls", "rate", "% peak");
  for (const StageProfile& stage : profile.stages) {
    if (stage.seconds >= kShownShare * profile.seconds) text += stage_rows(stage, profile);
  }
  text += row("outside the stages", outside_stages(profile), profile.seconds, 0) + '\n';
  return text + row("all", profile.seconds, profile.seconds, 0) + '\n';
}

nlohmann::ordered_json profile_json(const Profile& profile) {
  nlohmann::ordered_json stages = nlohmann::ordered_json::array();
  for (const StageProfile& stage : profile.stages) {
    nlohmann::ordered_json ops = nlohmann::ordered_json::array();
    for (const OpProfile& op : stage.ops) ops.push_back(op_json(op, profile.peaks));
    stages.push_back({{"name", stage.name},
                      {"calls", stage.calls},
                      {"seconds", stage.seconds},
                      {"flop", stage.flop()},
                      {"op_seconds", stage.op_seconds()},
                      {"ops", std::move(ops)}});
  }
  return {{"threads", profile.threads},
          {"isa", profile.isa},
          {"seconds", profile.seconds},
          {"peaks",
           {{"f32_gflops", profile.peaks.f32},
            {"bf16_gflops", profile.peaks.bf16},
            {"int8_gops", profile.peaks.int8},
            {"memory_gbps", profile.peaks.memory}}},
          {"stages", std::move(stages)}};
}

}  // namespace zimage::cli
