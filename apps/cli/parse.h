#pragma once

#include <CLI/CLI.hpp>

namespace zimage::cli {

// Parses a command's arguments; prints the help and returns false when it was asked for. Throws
// UsageError.
bool parse_arguments(CLI::App& app, int argc, char** argv);

// "1.2 GB", "34.5 MB": decimal units.
std::string bytes_text(double bytes);

}  // namespace zimage::cli
