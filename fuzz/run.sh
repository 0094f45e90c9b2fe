#!/usr/bin/env bash
# Builds the fuzzers and runs each for SECONDS_EACH (default 20) on its seeds. A crash, a leak or an
# input that takes over 10 s fails.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-20}

cmake --preset fuzz >/dev/null
targets=()
for source in fuzz/*_fuzz.cpp; do targets+=("$(basename "$source" .cpp)"); done
cmake --build --preset fuzz --target "${targets[@]}"

root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"  # where libFuzzer leaves the input of a crash
for target in "${targets[@]}"; do
  echo "fuzzing $target for $seconds s"
  mkdir "$work/$target"
  if ! OMP_NUM_THREADS=1 "$root/build/fuzz/bin/$target" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=2048 -max_len=65536 "$work/$target" "$root/fuzz/corpus/${target%_fuzz}" \
    >"$work/log" 2>&1; then
    tail -n 60 "$work/log"
    for input in crash-* leak-* timeout-* oom-*; do
      [ ! -f "$input" ] || { echo "the input, in base64:"; base64 "$input"; }
    done
    exit 1
  fi
done
