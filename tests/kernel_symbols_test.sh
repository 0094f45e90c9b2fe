#!/usr/bin/env bash
# Objects of src/cpu/kernels may define names of their own namespace only: an inline function of std or
# core, compiled with AVX-512 flags, could become the program's one copy of it.
# Arguments: the instruction set, the object files.
set -euo pipefail
isa=$1
shift

strays=$(nm --demangle --defined-only "$@" | grep -E '^[0-9a-f]+ [TWVBDRGSu] ' |
  grep -vE "zimage::cpu::$isa::" || true)
if [[ -n $strays ]]; then
  echo "kernels for $isa define symbols that other files share:"
  echo "$strays"
  exit 1
fi
