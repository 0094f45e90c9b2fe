#!/usr/bin/env bash
# Installs the build into a new prefix and lets tests/package/ find, link and run it.
# Arguments: the build folder, the repository's root.
set -euo pipefail
build=$1
root=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
cmake -S "$root/tests/package" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build"
"$work/build/consumer" "$root/tests/data/pipeline/snapshot" "$work/out.png"
[ -s "$work/out.png" ]
"$work/prefix/bin/zimage" --version
"$work/prefix/bin/zimage" -m demo "a red circle on a blue background" -s 2 -o "$work/demo.png"
