#!/usr/bin/env bash
# 1,000 edits in one LLaVA-1.5-7B with random weights, on one GPU held to 22.5 GiB; then the first edits beside the
# plain loop, without that limit (its fine-tuning takes 28 GiB).
#
#   bash benchmarks/long_stream.sh EDITOR FOLDER        # ft-llm, lora, ultraedit, mend, serac; each by itself, 8 minutes at most
#
# FOLDER gets stream-BACKBONE-EDITOR.json and -plain.json (everything that was measured) and a .log of each. Python
# is $PYTHON. For a trial on a processor: BACKBONE=tiny-llava DEVICE=cpu TESTS=20.
set -euo pipefail
editor=$1 folder=$2
backbone=${BACKBONE:-llava-1.5-7b} device=${DEVICE:-cuda} tests=${TESTS:-1000} python=${PYTHON:-python}
mkdir -p "$folder"
given=(--stream --backbone "$backbone" --device "$device" --editor "$editor" --words 76
       --benchmark mini-entity+mini-visual+mini-user)
[ "$backbone" = llava-1.5-7b ] && given+=(--weights random)
# Without downloads: a text encoder of DistilBERT's shape with random weights.
[ "$editor" = serac ] && given+=(--set serac.encoder=random --set serac.picture_head=0)
held=()
[ "$device" = cpu ] || held=(--memory 22.5)

measure() {
    name=$folder/stream-$backbone-$editor$1
    shift
    "$python" -m mmke.cli bench "${given[@]}" "$@" --out "$name.json" 2>&1 | tee "$name.log"
}

at=$(for state in 1 3 10 30 100 300 1000; do [ "$state" -lt "$tests" ] && printf '%s,' "$state"; done || true)
measure "" --seconds 390 --side mmke "${held[@]}" --tests "$tests" --panel 60 --score "right,at:${at}end"
measure -plain --seconds 50 --tests 8 --plain-tests 2 --score right,at:2,end
