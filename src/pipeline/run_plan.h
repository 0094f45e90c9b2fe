#pragma once

#include "pipeline/loaded_model.h"
#include "zimage/plan.h"

namespace zimage {

// For options that are checked, except that a control network may lack its picture and that without
// a prompt the longest is taken. Measures the machine's speed. Throws Error for too little memory.
RunPlan plan_run(const LoadedModel& model, const GenerateOptions& options);

}  // namespace zimage
