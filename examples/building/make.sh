#!/usr/bin/env bash
# Makes 60 records of each kind of knowledge from pictures that come with mmke, lets a script decide on a few of them in
# a browser, exports all that pass the rules, and edits smol-llava with two editors. docs/building-example.md shows what
# comes of it.
#
#     examples/building/make.sh [FOLDER]
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
out=${1:-built}

for kind in entity semantic user; do
    mmke build new "$out/$kind" --kind "$kind" --name built
    mmke build run "$out/$kind"
    python "$here/verify_some.py" "$out/$kind" --records 6
    mmke build report "$out/$kind"
    mmke build export "$out/$kind" --to "$out/benchmark" --unverified
done

built=(--data "$out/benchmark" --benchmark mmke-entity --benchmark mmke-visual --benchmark mmke-user)
for benchmark in mmke-entity mmke-visual mmke-user; do
    mmke check "$benchmark" --data "$out/benchmark" --backbone smol-llava
done
mmke run "${built[@]}" --editor ft-llm --editor ike --out "$out/results"
