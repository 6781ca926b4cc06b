#!/usr/bin/env bash
# Edit with KE and ask, as published: bash KE/test_multihop.sh GPU MODEL HOP TYPE, such as 0 llava 1 entity
# (src/mmke.compat.ke.py).
set -euo pipefail
export CUDA_VISIBLE_DEVICES="${1-}"
exec "${PYTHON:-python}" -P -m mmke.compat.ke KE/test_multihop.sh "$@"
