#!/usr/bin/env bash
# Fails on the first C++ file that clang-format 14 would lay out in another way.
set -euo pipefail
cd "$(dirname "$0")/.."

git ls-files '*.h' '*.cpp' | xargs clang-format --dry-run --Werror
