#!/usr/bin/env bash
# Installs the Debian/Ubuntu packages that building and testing need; does nothing when all are there.
# Further package names may be given.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t packages < <(cat scripts/packages.txt; printf '%s\n' "$@")
missing=()
for package in "${packages[@]}"; do
  [ -n "$package" ] || continue
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
  root=()
elif command -v sudo >/dev/null; then
  root=(sudo)
else
  echo "error: these packages are missing: ${missing[*]}; install them as root" >&2
  exit 1
fi
echo "installing ${missing[*]}"
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}"
