"""What readers of a note reach where every question is known to be on the edit, on training records.

    python recipes/gate/readers.py --records 10 --device cuda

The gate is open: with one edit in force every question that points at no missing picture is on it. So these figures are
what the gated note can reach at most, and how much of it is left depends on its gate.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from mmke import registry
from mmke.backbones.engine.store import store_for
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve
from mmke.running.asking import ask
from mmke.running.loading import load_backbone
from mmke.running.metrics import make_metrics
from mmke.running.scoring import CaseAnswers, When, make_rows
from mmke.types import STRICT, EditCase

KINDS = ("mini-entity", "mini-visual", "mini-user")
ASKED = ("t_rel", "i_rel", "i_gen", "port")
FIRST = 30
"""Of a training set, the first record that is asked; the others are IKE's demonstrations."""
OPEN = {
    "text_near": -1e9,
    "text_far": [-1e9, 0.0],
    "picture_near": -1e9,
    "picture_far": [-1e9, 0.0],
}
READERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "floor": ("none", {}),
    "ike": ("ike", {}),
    "note": ("gated-note", {"reader": "note", "demonstrations": 0, "steps": 0}),
    "fact": ("gated-note", {"demonstrations": 0, "steps": 0}),
    "examples, fact": ("gated-note", {"steps": 0}),
    "patch": ("lora", {"steps": 15}),
    "patch, fact": ("gated-note", {"demonstrations": 0}),
    "patch, three examples, fact": ("gated-note", {"demonstrations": 3}),
    "patch, examples, fact": ("gated-note", {}),
    "patch of 30 steps, examples, fact": ("gated-note", {"steps": 30}),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--backbone", default="smol-llava")
    options.add_argument("--device", default="cpu")
    options.add_argument("--records", type=int, default=10, help="of each kind")
    options.add_argument("--reader", action="append", choices=READERS, help="default: all")
    options.add_argument("--out", type=Path, help="JSON lines, beside what is printed")
    asked_for = options.parse_args()
    backbone = load_backbone(asked_for.backbone, device=asked_for.device)
    store = store_for(backbone.device)
    for reader in asked_for.reader or READERS:
        found = {kind: list(scores(backbone, reader, kind, asked_for.records, store)) for kind in KINDS}
        line = {"reader": reader, "records": asked_for.records, "device": asked_for.device, **summary(found)}
        print(json.dumps(line), flush=True)
        if asked_for.out is not None:
            with asked_for.out.open("a") as file:
                file.write(json.dumps(line) + "\n")


def scores(backbone: Any, reader: str, kind: str, records: int, store: Any) -> Iterator[Mapping[str, float]]:
    """Yield of each record the mean score of each kind of question, in per cent."""
    name, changes = READERS[reader]
    cases = open_benchmark(kind, data=None).load("train", hop=1, switches=STRICT).cases
    train = [case for i, case in enumerate(cases) if not FIRST <= i < FIRST + records]
    gates = OPEN if name == "gated-note" else {}
    settings = {} if name == "none" else resolve(name, backbone.name, {**gates, **changes})
    editor = registry.factory("editors", name)(settings, STRICT, train=train if name == "ike" else (), seed=0)
    for case in cases[FIRST : FIRST + records]:
        asked = replace(case, probes=tuple(probe for probe in case.probes if probe.kind.name in ASKED))
        yield scored(backbone, editor, asked, store)


def scored(backbone: Any, editor: Any, case: EditCase, store: Any) -> Mapping[str, float]:
    metrics = make_metrics(STRICT, generate=False, kinds={probe.kind for probe in case.probes})
    torch.manual_seed(0)
    with editor.open(backbone, store) as session:
        base = ask(session, case, [metric for metric in metrics if metric.reference], {})
        session.apply(case.edits)
        after = ask(session, case, metrics, {})
    answers = CaseAnswers({"base": base, "previous edit": base}, after)
    values = defaultdict(list)
    for row in make_rows(case, metrics, answers, floor=None, when=When(1)):
        if row.value is not None and row.metric == row.kind:
            values[row.kind].append(100 * row.value)
    return {kind: fmean(each) for kind, each in values.items()}


def summary(found: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Return means of each kind of knowledge, and of all records with their standard errors."""
    together = [record for records in found.values() for record in records]
    named = {kind: {asked: round(fmean(_of(records, asked)), 1) for asked in ASKED} for kind, records in found.items()}
    errors = {
        asked: round(stdev(each) / len(each) ** 0.5, 1) for asked in ASKED if len(each := _of(together, asked)) > 1
    }
    return {**named, "all": {asked: round(fmean(_of(together, asked)), 1) for asked in ASKED}, "standard error": errors}


def _of(records: Sequence[Mapping[str, float]], asked: str) -> list[float]:
    return [record[asked] for record in records if asked in record]


if __name__ == "__main__":
    main()
