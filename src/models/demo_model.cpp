#include "models/demo_model.h"

#include <cstdlib>
#include <vector>

#include "core/check.h"
#include "models/snapshot.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> places() {
  std::vector<fs::path> result;
  std::error_code error;
  if (const fs::path program = fs::read_symlink("/proc/self/exe", error); !error) {
    const fs::path bin = program.parent_path();
    result.push_back(bin / "models" / "demo");
    result.push_back(bin.parent_path() / "share" / "zimage" / "models" / "demo");
    // build/release/bin/zimage in a clone
    fs::path above = bin;
    for (int i = 0; i < 3; ++i) result.push_back((above = above.parent_path()) / "models" / "demo");
  }
  result.emplace_back(ZIMAGE_INSTALLED_SHARE "/models/demo");
  return result;
}

}  // namespace

fs::path demo_model_folder() {
  if (const char* given = std::getenv("ZIMAGE_DEMO_MODEL"); given != nullptr && *given != '\0') {
    check(Snapshot::is_snapshot(given), "ZIMAGE_DEMO_MODEL ", given, " is no snapshot folder");
    return given;
  }
  std::string tried;
  for (const fs::path& place : places()) {
    if (Snapshot::is_snapshot(place)) return place;
    tried += (tried.empty() ? "" : ", ") + place.string();
  }
  throw Error("the demo model is in none of " + tried +
              "; set ZIMAGE_DEMO_MODEL to its folder (models/demo of the source tree)");
}

}  // namespace zimage
