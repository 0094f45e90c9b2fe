// Operations and stages note here where the time goes while a Recorder listens to their thread.
// When none does, a note costs the reading of one pointer.
#pragma once

#include <chrono>
#include <initializer_list>
#include <map>
#include <string_view>
#include <tuple>

#include "core/dtype.h"
#include "core/tensor.h"
#include "zimage/profile.h"

namespace zimage::profile {

struct Work {
  double flop = 0;   // a multiplication and an addition are two
  double bytes = 0;  // operands and results, each once
  Dtype dtype = Dtype::kF32;
};

// The tensors that an operation reads and writes; the first one's dtype decides about the peak.
template <class... Tensors>
Work work(double flop, const Tensor& first, const Tensors&... others) {
  return {flop, static_cast<double>((first.bytes() + ... + others.bytes())), first.dtype()};
}

// Listens to the thread that made it, until its end. An operation inside another one, or inside a
// parallel task, counts as part of what called it.
class Recorder {
 public:
  Recorder();
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  static Recorder* current() { return current_; }
  // Since the start; without peaks.
  Profile result() const;

  // Return whether the note counts; if so the matching end follows.
  bool begin_op(const char* name, std::initializer_list<std::int64_t> shape, const Work& work);
  void end_op();
  bool begin_stage(const char* name);
  void end_stage();

 private:
  using Clock = std::chrono::steady_clock;
  using OpKey = std::tuple<std::string, std::vector<std::int64_t>, Dtype>;
  struct Stage {
    StageProfile profile;
    std::map<OpKey, OpProfile> ops;
  };
  Stage& stage_of(std::string_view name);

  inline static thread_local constinit Recorder* current_ = nullptr;
  Recorder* const before_;
  const Clock::time_point start_;
  std::vector<Stage> stages_;
  std::string stage_;        // that is running; empty outside of all
  OpProfile* op_ = nullptr;  // that is running
  Clock::time_point op_start_, stage_start_;
};

// Notes the time of its scope as one call of an operation.
class Op {
 public:
  Op(const char* name, std::initializer_list<std::int64_t> shape, const Work& work)
      : recorder_(Recorder::current()) {
    if (recorder_ != nullptr && !recorder_->begin_op(name, shape, work)) recorder_ = nullptr;
  }
  ~Op() {
    if (recorder_ != nullptr) recorder_->end_op();
  }
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

 private:
  Recorder* recorder_;
};

// Notes the time of its scope as a stage. A stage inside another counts as part of that.
class Stage {
 public:
  explicit Stage(const char* name) : recorder_(Recorder::current()) {
    if (recorder_ != nullptr && !recorder_->begin_stage(name)) recorder_ = nullptr;
  }
  ~Stage() {
    if (recorder_ != nullptr) recorder_->end_stage();
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

 private:
  Recorder* recorder_;
};

}  // namespace zimage::profile
