// The adapters of a pipeline.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "layers/adapters.h"
#include "models/snapshot.h"
#include "zimage/pipeline.h"

namespace zimage {

struct ChosenAdapter {
  AdapterOptions options;
  std::filesystem::path file;
};

// Finds or downloads the files. Throws UsageError for a scale that is no finite number and for a
// file that is given twice, Error where one cannot be found.
std::vector<ChosenAdapter> choose_adapters(const PipelineOptions& options);

struct LoadedAdapters {
  std::shared_ptr<const AdapterSet> set;  // null where nothing is to be changed
  std::vector<AppliedAdapter> applied;
};

// Reads and checks all numbers. Throws Error naming the file and module for adapters that do not
// fit the snapshot's transformer.
LoadedAdapters load_adapters(const std::vector<ChosenAdapter>& chosen, const Snapshot& snapshot,
                             const PipelineOptions& options);

}  // namespace zimage
