#!/usr/bin/env bash
# Train KE as published: bash KE/train_ke.sh GPU MODEL TYPE, such as 0 llava entity (src/mmke/published_ke.py).
set -euo pipefail
export CUDA_VISIBLE_DEVICES="${1-}"
exec "${PYTHON:-python}" -P -m mmke.published_ke KE/train_ke.sh "$@"
