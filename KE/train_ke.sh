#!/usr/bin/env bash
# Train KE as published: bash KE/train_ke.sh GPU MODEL TYPE, such as 0 llava entity (src/mmke.compat.ke.py).
set -euo pipefail
export CUDA_VISIBLE_DEVICES="${1-}"
exec "${PYTHON:-python}" -P -m mmke.compat.ke KE/train_ke.sh "$@"
