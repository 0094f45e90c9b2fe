#!/usr/bin/env bash
# Does all set-up and draws a picture with the model that comes with the program: out/demo.png.
# Argument: what to draw.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build.sh --target zimage_cli
build/release/bin/zimage generate -m demo -p "${1:-a red circle on a blue background}" --seed 1 \
  -o out/demo.png
