"""Try editor settings for a small backbone, on training records only.

For each kind of knowledge the first half of mini's training records is the demonstration corpus, the second half is
edited.
A setting's score is the mean of the six published metrics under `strict`; every try is printed and kept:

    python recipes/settings/choose.py --backbone smol-llava --editor ft-llm --records 10 --out tries.jsonl
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from mmke import registry
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.probes.published import KINDS
from mmke.editing.settings import read_changes, resolve
from mmke.protocols import Backbone, Editor
from mmke.report.figures import Scale, figures
from mmke.results.described import columns_of, describe_columns
from mmke.running.asking import ask
from mmke.running.loading import load_backbone
from mmke.running.metrics import make_metrics
from mmke.running.scoring import CaseAnswers, When, make_rows
from mmke.types import STRICT, EditCase, ScoreRow

GRIDS: dict[str, dict[str, list[Any]]] = {
    "none": {},
    "ft-llm": {"steps": [5, 10, 20, 40], "learning_rate": [1e-4, 3e-4, 1e-3]},
    "ft-alignment": {"steps": [5, 10, 20], "learning_rate": [3e-4, 1e-3, 3e-3]},
    "lora": {"steps": [10, 30], "learning_rate": [1e-3, 3e-3, 1e-2]},
    "ultraedit": {"step": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2]},
    # One site a call, with the radius that belongs to it (radius.py): --set site=… --set radius=…
    "grace": {"positions": ["prompt", "last"], "learning_rate": [1.0, 3.0, 10.0], "steps": [30, 60, 100]},
    "m-ore": {"step": [0.1, 0.3, 1.0, 3.0, 10.0], "rank": [128, 384]},
    # One site and rate a call: --set site=… --set learning_rate=… --set steps=…
    "wise": {"act_ratio": [0.4, 0.55, 0.7]},
    "ike": {"demonstrations": [0, 1, 2, 4, 8, 16, 25]},
    "ike-random": {"demonstrations": [0, 1, 2, 4, 8, 16, 25]},
}
BENCHMARKS = ("mini-entity", "mini-visual", "mini-user")


def main() -> None:
    """Try every setting of an editor's grid and append one line a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="smol-llava")
    parser.add_argument("--editor", choices=list(GRIDS), required=True)
    parser.add_argument("--records", type=int, default=10, help="edited records of each kind")
    parser.add_argument("--only", help="one value of the grid, such as learning_rate=0.001, to divide the work")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of all tries, also in place of the grid",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    backbone = load_backbone(arguments.backbone, device=arguments.device)
    splits = [open_benchmark(name, data=None).load("train", hop=1, switches=STRICT).cases for name in BENCHMARKS]
    fixed = read_changes([f"{arguments.editor}.{each}" for each in arguments.set], None).get(arguments.editor, {})
    grid = {key: values for key, values in GRIDS[arguments.editor].items() if key not in fixed}
    for changes in _grid(grid, arguments.only):
        tried = _try(backbone, arguments.editor, fixed | changes, splits, arguments.records)
        line = {"backbone": arguments.backbone, "editor": arguments.editor, "device": arguments.device, **tried}
        print(json.dumps(line), flush=True)
        with arguments.out.open("a") as out:
            out.write(json.dumps(line) + "\n")


def _grid(grid: dict[str, list[Any]], only: str | None) -> Iterator[dict[str, Any]]:
    key, _, wanted = (only or "").partition("=")
    for values in itertools.product(*grid.values()):
        changes = dict(zip(grid, values, strict=True))
        if not only or changes[key] == float(wanted):
            yield changes


def _try(
    backbone: Backbone, editor: str, changes: dict[str, Any], splits: list[tuple[EditCase, ...]], count: int
) -> dict[str, Any]:
    records, seconds = edited(backbone, editor, changes, splits, count)
    found, table = score(records)
    return {"settings": changes, "mean": found, **table, "seconds": mean(seconds), "n": len(records)}


def edited(
    backbone: Backbone, editor: str, changes: Mapping[str, Any], splits: Sequence[tuple[EditCase, ...]], count: int
) -> tuple[list[list[ScoreRow]], list[float]]:
    """Return the rows of each edited record, kind by kind, and its seconds."""
    values = resolve(editor, backbone.name, changes)
    records, seconds = [], []
    for cases in splits:
        half = len(cases) // 2
        made = registry.factory("editors", editor)(values, STRICT, train=cases[:half], seed=0)
        for case in cases[half : half + count]:
            begin = time.perf_counter()
            records.append(_rows(backbone, made, case))
            seconds.append(time.perf_counter() - begin)
    return records, seconds


def score(records: Sequence[list[ScoreRow]]) -> tuple[float, dict[str, Any]]:
    """Return the mean of the six published metrics in per cent, and every column's figure."""
    columns = columns_of({"columns": describe_columns(make_metrics(STRICT), KINDS)})
    scale = Scale({kind.name: kind for kind in KINDS}, columns)
    table: dict[str, Any] = {kind: figure.value for kind, figure in figures(records, scale).items()}
    return mean(table[kind.name] for kind in KINDS if kind.headline), table


def _rows(backbone: Backbone, editor: Editor, case: EditCase) -> list[ScoreRow]:
    metrics = make_metrics(STRICT, generate=False)
    torch.manual_seed(0)
    with editor.open(backbone, MemoryStore()) as session:
        base = ask(session, case, [metric for metric in metrics if metric.reference])
        session.apply(case.edits)
        after = ask(session, case, metrics)
    return make_rows(case, metrics, CaseAnswers({"base": base}, after), floor=None, when=When(1))


if __name__ == "__main__":
    main()
