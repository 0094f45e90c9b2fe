#!/usr/bin/env bash
# Runs every ```sh example of docs/CLI.md that calls zimage, with the test snapshot in the place of
# the model. Arguments: the program, the repository's root.
set -euo pipefail
program=$1
root=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$program" "$work/bin/zimage"
ln -s "$root/tests/data/pipeline/snapshot" "$work/Z-Image-Turbo"
ln -s "$root/tests/data/control/union-2.1.safetensors" "$work/union.safetensors"
export ZIMAGE_DEMO_MODEL=$root/models/demo HF_HUB_OFFLINE=1
cd "$work"
PATH="$work/bin:$PATH"

count=0
while IFS= read -r line; do
  echo "+ $line"
  bash -c "$line"
  count=$((count + 1))
done < <(awk '/^```sh$/ {inside = 1; next} /^```/ {inside = 0} inside && /^zimage /' "$root/docs/CLI.md")
[ "$count" -gt 0 ] || { echo "no example found"; exit 1; }

# Every flag of --help is documented, and every documented flag exists.
help=$(for command in generate control plan preprocess models download inspect quantize quantize-controlnet; do zimage "$command" --help; done | grep -oE -- '--[a-z][a-z-]+' | sort -u | grep -vx -- --help)
docs=$(grep -oE -- '^\| `[^|]*' "$root/docs/CLI.md" | grep -oE -- '--[a-z][a-z-]+' | sort -u)
diff <(echo "$help") <(echo "$docs") || { echo "docs/CLI.md and --help differ"; exit 1; }
