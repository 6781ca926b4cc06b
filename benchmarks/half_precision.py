"""How half precision changes answers: scored tokens and top-10 places that differ from the plain loop in float32.

For each editor the same records are edited and asked four ways on a small real model: the plain loop in float32 (the
reference), the plain loop with frozen weights in half precision and edited tensors in float32, and mmke's own loop in
float32 and in half. A scored token is the most probable id at a row that predicts the gold answer; a top-10 place is
one of the ten most probable ids of such a row, rank by rank.

python benchmarks/half_precision.py --device cuda --records 20 --out benchmarks/results/half-precision.json
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmke.backbones.engine.store import MemoryStore
from mmke.editing.settings import read_changes
from mmke.running.devices import device_name, resolve_device
from mmke.running.loading import load
from mmke.running.planning import Cell, plan
from mmke.running.request import Request
from mmke.types import Answer, Ask, EditCase
from mmke_bench.plain import PlainBackbone

EDITORS = ("none", "ft-llm", "ft-alignment", "ike")
BENCHMARKS = ("mini-entity", "mini-visual", "mini-user")
ASK = Ask(top=10)


def main() -> None:
    """Compare every editor on every benchmark and write what was counted."""
    options = _options()
    device = device_name(resolve_device(options.device))
    counted = []
    for editor in options.editor or EDITORS:
        said = {way: _said(options, editor, *way) for way in _ways(options.dtype)}
        for way, answers in said.items():
            differing = _differences(said["plain", "float32"], answers)
            counted.append({"editor": editor, "loop": way[0], "dtype": way[1], **differing})
            print(json.dumps(counted[-1]), flush=True)
    versions = {"python": platform.python_version(), **{p: version(p) for p in ("torch", "transformers")}}
    facts = {"command": sys.argv, "device": device, "versions": versions, "backbone": options.backbone}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({**facts, "counted": counted}, indent=1) + "\n", encoding="utf-8")


def _ways(dtypes: Sequence[str]) -> list[tuple[str, str]]:
    return [(loop, dtype) for dtype in ("float32", *dtypes) for loop in ("plain", "mmke")]


def _said(options: argparse.Namespace, editor: str, loop: str, dtype: str) -> list[Answer]:
    request = Request(
        options.backbone,
        (editor,),
        BENCHMARKS,
        limit=options.records,
        device=options.device,
        dtype=dtype,
        changes=read_changes(options.set, None),
    )
    backbone: Any = load(request)
    asked = PlainBackbone(backbone) if loop == "plain" else backbone
    cells = [cell for cell in plan(replace(request, dtype=None)).cells if cell.editor.name == editor]
    return [answer for cell in cells for case in cell.split.cases for answer in _edited(cell, case, asked)]


def _edited(cell: Cell, case: EditCase, backbone: Any) -> list[Answer]:
    with cell.editor.open(backbone, MemoryStore()) as session:
        session.apply(case.edits)
        return session.answer(case.probes, ASK)


def _differences(reference: Sequence[Answer], answers: Sequence[Answer]) -> dict[str, Any]:
    pairs = list(zip(reference, answers, strict=True))
    tokens = [(x, y) for a, b in pairs for x, y in zip(a.token_ids, b.token_ids, strict=True)]
    places = [(a.top_ids != b.top_ids).sum() for a, b in pairs]
    gaps = sorted(abs(a.target_logprob - b.target_logprob) for a, b in pairs)
    right = [
        sum(x == t for x, t in zip(answer.token_ids, answer.target_ids, strict=True)) / len(answer.target_ids)
        for answer in answers
    ]
    return {
        "tokens": len(tokens),
        "other_tokens": sum(x != y for x, y in tokens),
        "places": int(sum(a.top_ids.size for a, _ in pairs)),
        "other_places": int(sum(places)),
        "median_gap": gaps[len(gaps) // 2],
        "widest_gap": gaps[-1],
        "accuracy": sum(right) / len(right),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="smol-llava")
    parser.add_argument("--editor", action="append", choices=EDITORS)
    parser.add_argument("--records", type=int, default=20, help="of each benchmark (default: 20)")
    parser.add_argument("--dtype", action="append", default=[], help="repeatable (default: float16 and bfloat16)")
    parser.add_argument("--set", action="append", default=[], metavar="E.KEY=VALUE", help="one setting; repeatable")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/half-precision.json"))
    options = parser.parse_args()
    options.dtype = options.dtype or ["float16", "bfloat16"]
    return options


if __name__ == "__main__":
    main()
