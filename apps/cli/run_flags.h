#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "zimage/pipeline.h"

namespace zimage::cli {

// How a model runs: --dtype, --int8-keep, --threads, --max-memory.
class RunFlags {
 public:
  explicit RunFlags(CLI::App& app);
  RunFlags(const RunFlags&) = delete;
  RunFlags& operator=(const RunFlags&) = delete;

  PipelineOptions options() const;

 private:
  std::string dtype_ = "auto";
  std::vector<std::string> int8_keep_;
  int threads_ = 0;
  std::uint64_t max_memory_ = 0;
};

// "8G", "8GiB", "6500M", "1.5 GiB": a number and a unit, K, M, G or T with or without iB for powers
// of 1024, KB, MB, GB or TB for powers of 1000. Throws UsageError naming the flag.
std::uint64_t parse_bytes(const std::string& flag, const std::string& text);

}  // namespace zimage::cli
