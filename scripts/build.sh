#!/usr/bin/env bash
# Installs what is missing and builds build/release/bin/zimage.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
cmake --preset release
cmake --build --preset release "$@"
