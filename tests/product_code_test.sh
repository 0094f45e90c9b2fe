#!/usr/bin/env bash
# The product kernels keep their sums in registers: no vector register goes to or comes from the
# stack. Compilers break such loops silently, at half the speed. Arguments: object files.
set -euo pipefail

count=0
for object in "$@"; do
  case $object in *product*.o) ;; *) continue ;; esac
  count=$((count + 1))
  # Only loads and stores of whole registers; AVX-512 and AVX2 alike.
  code=$(objdump -d --no-show-raw-insn "$object")
  if grep -E 'mov[a-z0-9]*\s.*%[yz]mm[0-9]+,.*\(%r[sb]p\)|mov[a-z0-9]*\s.*\(%r[sb]p\),%[yz]mm' <<<"$code"; then
    echo "$object: vector registers on the stack"
    exit 1
  fi
done
[ "$count" -gt 0 ] || { echo "no product kernel among the arguments"; exit 1; }
