#!/usr/bin/env bash
# clang-tidy over all sources, with the checks of .clang-tidy.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release >/dev/null
git ls-files 'src/*.cpp' 'apps/*.cpp' | grep -v '^src/cpu/kernels/' |
  xargs -P "$(nproc)" -n 4 clang-tidy -p build/release --quiet --warnings-as-errors='*' 2>/dev/null
