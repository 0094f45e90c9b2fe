#pragma once

namespace zimage::cli {

// SIGINT and SIGTERM only set a flag, so that the work stops at a safe place and cleans up; the
// second one ends the program at once.
void catch_interrupts();
bool is_interrupted();

}  // namespace zimage::cli
