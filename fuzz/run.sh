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

for target in "${targets[@]}"; do
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  echo "fuzzing $target for $seconds s"
  (cd "$work" && OMP_NUM_THREADS=1 "$OLDPWD/build/fuzz/bin/$target" -max_total_time="$seconds" \
    -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=0 -verbosity=0 \
    "$work" "$OLDPWD/fuzz/corpus/${target%_fuzz}") || { cp "$work"/{crash,leak,timeout,oom}-* . 2>/dev/null || true; exit 1; }
  rm -rf "$work"
done
