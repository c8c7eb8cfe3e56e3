#!/usr/bin/env bash
# The model that ships: two CPU cores, about two hours. Stop it at will; it goes on where it was.
#   bash runs/cpu.sh [FOLDER]
# From scratch; what ships was grown from an earlier run with `train --from` (docs/log.md).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-state/cpu}
# Large tensors come and go with every step: keep their memory instead of giving it back to the
# kernel each time (measured: half of the time went into page faults without this).
export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456
for part in codec latents transformer export; do
  .venv/bin/worldreel train "$part" --plan cpu --folder "$folder" --device cpu
done
.venv/bin/worldreel evaluate --quick --model "$folder/model"
