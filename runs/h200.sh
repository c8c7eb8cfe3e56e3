#!/usr/bin/env bash
# The large run: the whole world on one H200 in about 30 minutes, in commands of at most 9 minutes
# each; call the same command again until it says it is done, each goes on from its checkpoint.
# Not yet run on a GPU; `bash runs/dry.sh` runs every part on a CPU at toy size.
#   bash runs/h200.sh FOLDER codec | latents | transformer | export [WEIGHTS_OUT]
# `export` also cuts the model into pieces of 15 MB under WEIGHTS_OUT (put together with cat).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 part=$2 out=${3:-}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
timeout --signal=INT 530 "${PYTHON:-python3}" -m worldreel train "$part" \
  --plan h200 --folder "$folder" --device "${DEVICE:-cuda}" ${MINUTES:+--minutes "$MINUTES"}
if [ "$part" = export ] && [ -n "$out" ]; then
  cp "$folder/model/model.json" "$out/"
  for file in "$folder"/model/*.safetensors; do split -b 15M -d "$file" "$out/$(basename "$file")."; done
fi
