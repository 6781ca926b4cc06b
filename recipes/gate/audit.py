"""Look for gold answers that leak into an editor's decisions, on evaluation records, all of whose edits it remembers.

    python recipes/gate/audit.py --editor gated-note --records 20 --device cuda

Every question is asked three times: as it is; with "x" in place of every gold answer, where what was decided (the notes
`accepted`, `edit`) must be the same; and with a record's questions in reverse order, where decisions and the tokens of
the answers must be the same. Then the edits are made once more without anything but question, picture and target, and
the session's state must have the same bits. It prints how many decisions, answers and tensors differ, and ends with 1
if any does; and by how many nats the mean log-probability of a gold answer moves with the order, which is rounding:
questions of one length pass through the model together.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch

from mmke import registry
from mmke.backbones.engine.store import store_for
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import read_changes, resolve
from mmke.protocols import Editor, EditSession
from mmke.running.asking import ask
from mmke.running.loading import load_backbone
from mmke.running.metrics import make_metrics
from mmke.running.probes import with_probes
from mmke.running.request import Request
from mmke.types import STRICT, Answer, Edit, EditCase

KINDS = ("mini-entity", "mini-visual", "mini-user")
DECIDED = ("accepted", "edit", "memory")
"""Notes that say what was decided."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--backbone", default="smol-llava")
    options.add_argument("--editor", default="gated-note")
    options.add_argument("--records", type=int, default=20, help="asked, of each kind; all are edited")
    options.add_argument("--device", default="cpu")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the editor")
    asked = options.parse_args()
    backbone = load_backbone(asked.backbone, device=asked.device)
    changes = read_changes([f"{asked.editor}.{each}" for each in asked.set], None).get(asked.editor, {})
    train = tuple(case for kind in KINDS for case in cases_of(kind, backbone.name, "train"))
    kinds = [cases_of(kind, backbone.name, "eval") for kind in KINDS]
    edits = [edit for cases in kinds for case in cases for edit in case.edits]
    editor: Editor = registry.factory("editors", asked.editor)(
        resolve(asked.editor, backbone.name, changes), STRICT, train=train, seed=0
    )
    with ExitStack() as stack:
        store = store_for(backbone.device)
        session = stack.enter_context(editor.open(backbone, store))
        applied(session, edits)
        state = session.state()
        found = [leaks(session, case) for cases in kinds for case in cases[: asked.records]]
    with editor.open(backbone, store_for(backbone.device)) as again:
        applied(again, [Edit(edit.query, edit.target) for edit in edits])
        changed = sum(
            not torch.equal(tensor, state.tensors[name]) for name, tensor in again.state().tensors.items()
        ) + len(again.state().tensors.keys() ^ state.tensors.keys())
    total = {name: (max if name == "nats" else sum)(each[name] for each in found) for name in found[0]} | {
        "tensors": len(state.tensors),
        "tensors that differ": changed,
    }
    print(json.dumps({"backbone": backbone.name, "editor": asked.editor, "edits": len(edits), **total}))
    sys.exit(any(number for name, number in total.items() if "differ" in name))


def cases_of(kind: str, backbone: str, split: str) -> Sequence[EditCase]:
    loaded = open_benchmark(kind, data=None).load(split, hop=1, switches=STRICT)
    if split == "train":
        return loaded.cases
    request = Request(backbone, None, (), probes="all", partners="train")
    return with_probes(loaded, loaded.cases, request, benchmark=kind).cases


def applied(session: EditSession, edits: Sequence[Edit]) -> None:
    for edit in edits:
        torch.manual_seed(0)
        session.apply([edit])


def leaks(session: EditSession, case: EditCase) -> Mapping[str, float]:
    """Return how many questions of a record were asked, and how many decisions and answers differ."""
    plain = asked_of(session, case)
    without = asked_of(session, replace(case, probes=tuple(replace(probe, target="x") for probe in case.probes)))
    back = asked_of(session, replace(case, probes=case.probes[::-1]))[::-1]
    return {
        "questions": len(plain),
        "accepted": sum(each.notes.get("accepted", 0) for each in plain),
        "decisions that differ": sum(
            not decision(a) == decision(b) == decision(c) for a, b, c in zip(plain, without, back, strict=True)
        ),
        "answers that differ": sum(a.token_ids != c.token_ids for a, c in zip(plain, back, strict=True)),
        "nats": max(abs(a.target_logprob - c.target_logprob) for a, c in zip(plain, back, strict=True)),
    }


def asked_of(session: EditSession, case: EditCase) -> list[Answer]:
    """Return one answer to each question, in the first way in which the metrics ask it.

    Where the unedited model's own answer would be fed, the gold answer is fed too, so that a leak would show.
    """
    answers: dict[int, Answer] = {}
    written = {i: probe.target for i, probe in enumerate(case.probes)}
    metrics = make_metrics(STRICT, kinds=[probe.kind for probe in case.probes])
    for (i, _), answer in ask(session, case, metrics, written).items():
        answers.setdefault(i, answer)
    return [answers[i] for i in sorted(answers)]


def decision(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in answer.notes.items() if name in DECIDED}


if __name__ == "__main__":
    main()
