#include "core/profile.h"

#include <algorithm>
#include <limits>

#include "core/parallel.h"

namespace zimage {
namespace {

double rate(double peak) { return peak > 0 ? peak * 1e9 : std::numeric_limits<double>::infinity(); }

double seconds_of_arithmetic(const OpProfile& op, const Peaks& peaks) {
  if (op.dtype == "I8") return op.flop / rate(std::max(peaks.int8, peaks.f32));
  if (op.dtype == "BF16") return op.flop / rate(std::max(peaks.bf16, peaks.f32));
  return op.flop / rate(peaks.f32);
}

double seconds_of_memory(const OpProfile& op, const Peaks& peaks) {
  return op.bytes / rate(peaks.memory);
}

}  // namespace

double StageProfile::op_seconds() const {
  double sum = 0;
  for (const OpProfile& op : ops) sum += op.seconds;
  return sum;
}

double StageProfile::flop() const {
  double sum = 0;
  for (const OpProfile& op : ops) sum += op.flop;
  return sum;
}

double seconds_at_peak(const OpProfile& op, const Peaks& peaks) {
  return std::max(seconds_of_arithmetic(op, peaks), seconds_of_memory(op, peaks));
}

bool is_bound_by_memory(const OpProfile& op, const Peaks& peaks) {
  return seconds_of_memory(op, peaks) > seconds_of_arithmetic(op, peaks);
}

namespace profile {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Recorder::Recorder() : before_(current_), start_(Clock::now()) { current_ = this; }
Recorder::~Recorder() { current_ = before_; }

Recorder::Stage& Recorder::stage_of(std::string_view name) {
  const auto it = std::find_if(stages_.begin(), stages_.end(),
                               [&](const Stage& stage) { return stage.profile.name == name; });
  if (it != stages_.end()) return *it;
  stages_.emplace_back().profile.name = name;
  return stages_.back();
}

bool Recorder::begin_op(const char* name, std::initializer_list<std::int64_t> shape,
                        const Work& work) {
  if (op_ != nullptr || in_parallel()) return false;
  Stage& stage = stage_of(stage_.empty() ? "between the stages" : std::string_view(stage_));
  OpProfile& op = stage.ops[OpKey(name, shape, work.dtype)];
  if (op.calls == 0) {
    op.name = name;
    op.shape = shape;
    op.dtype = name_of(work.dtype);
  }
  ++op.calls;
  op.flop += work.flop;
  op.bytes += work.bytes;
  op_ = &op;  // stays where it is until end_op(): nothing else adds stages or operations
  op_start_ = Clock::now();
  return true;
}

void Recorder::end_op() {
  const double seconds = seconds_since(op_start_);
  op_->seconds += seconds;
  op_ = nullptr;
  if (stage_.empty()) stage_of("between the stages").profile.seconds += seconds;
}

bool Recorder::begin_stage(const char* name) {
  if (!stage_.empty() || op_ != nullptr) return false;
  stage_ = name;
  ++stage_of(name).profile.calls;
  stage_start_ = Clock::now();
  return true;
}

void Recorder::end_stage() {
  stage_of(stage_).profile.seconds += seconds_since(stage_start_);
  stage_.clear();
}

Profile Recorder::result() const {
  Profile result;
  result.threads = num_threads();
  result.seconds = seconds_since(start_);
  for (const Stage& stage : stages_) {
    StageProfile& copy = result.stages.emplace_back(stage.profile);
    for (const auto& [key, op] : stage.ops) copy.ops.push_back(op);
    std::stable_sort(copy.ops.begin(), copy.ops.end(),
                     [](const OpProfile& a, const OpProfile& b) { return a.seconds > b.seconds; });
  }
  return result;
}

}  // namespace profile
}  // namespace zimage
