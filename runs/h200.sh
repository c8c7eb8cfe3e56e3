#!/usr/bin/env bash
# The large run: the whole world on one H200 in 30 minutes, in commands of at most 9 minutes each,
# since each part goes on from its checkpoint. Not yet run on a GPU; `bash runs/dry.sh` runs every
# part of it on a CPU at toy size.
#   bash runs/h200.sh FOLDER codec|latents|transformer|export
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
part=$2
exec timeout --signal=INT 530 "${PYTHON:-python3}" -m worldreel train "$part" --plan h200 --folder "$folder" --device cuda
