#!/usr/bin/env bash
# Every part of a run at toy size, in about a minute: does it all still fit together?
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for part in codec latents transformer export; do
  .venv/bin/worldreel train "$part" --plan tiny --folder "$folder" --device cpu
done
.venv/bin/worldreel generate "a red ball" --model "$folder/model" -o "$folder/ball.mp4" --seed 1
