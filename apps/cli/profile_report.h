#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "zimage/profile.h"

namespace zimage::cli {

// A table for people: the peaks, and for every stage its operations, what they leave unexplained,
// and what they reach of the peaks.
std::string profile_text(const Profile& profile);

// All of it, for --json.
nlohmann::ordered_json profile_json(const Profile& profile);

}  // namespace zimage::cli
