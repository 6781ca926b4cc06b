"""Measure how well a scope classifier decides, on training records that it was not trained on.

The records are those that `mmke train` holds out for validation; no evaluation record is read. Each is asked once for
each size of the memory, with its own edit in it and edits of other training records, drawn by a seed. Printed for each
kind of question: how many there are, per cent that some edit was taken for, and per cent that the own edit was:

    python recipes/settings/gate.py --out gate.jsonl                             # the checkpoint that comes along
    python recipes/settings/gate.py --train --set head=128 --out gate.jsonl      # a fresh classifier, by itself
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import read_changes, resolve
from mmke.editing.trained import find, network_tensors, read
from mmke.editors.serac.edit import Serac
from mmke.editors.serac.training import scope_losses
from mmke.protocols import Backbone, Store
from mmke.registry import factory
from mmke.running.loading import load_backbone
from mmke.training.splitting import hold_out, trainable
from mmke.types import STRICT, EditCase

BENCHMARKS = ("mini-entity", "mini-visual", "mini-user")
LOOK = 80
"""Steps between two validations of a classifier that is trained by itself."""


def main() -> None:
    """Print the rates, one line for each size of the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="smol-llava")
    parser.add_argument("--editor", choices=["mscke", "serac"], default="mscke")
    parser.add_argument("--train", action="store_true", help="train a fresh classifier, without a counterfactual model")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, with --train")
    parser.add_argument("--memory", type=int, nargs="+", default=[1, 60, 180], help="edits in memory")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    opened = [open_benchmark(name, data=None).load("train", hop=0, switches=STRICT) for name in BENCHMARKS]
    cases = [case for data in opened for case in data.cases]
    learned, held = hold_out(trainable(cases, "mini")[0], seed=0)
    backbone, store = load_backbone(arguments.backbone), MemoryStore(1 << 30)
    changes = read_changes([f"{arguments.editor}.{each}" for each in arguments.set], None).get(arguments.editor, {})
    editor = _make(arguments.editor, backbone, changes, learned)
    facts = _train(editor, backbone, learned, held, store) if arguments.train else _fill(editor, backbone)
    for size in arguments.memory:
        found = rates(editor, backbone, held, _memories(held, cases, size), store)
        line = {"editor": arguments.editor, **changes, **facts, "memory": size, **found}
        print(json.dumps(line), flush=True)
        with arguments.out.open("a") as out:
            out.write(json.dumps(line) + "\n")


def _make(name: str, backbone: Backbone, changes: Mapping[str, Any], learned: Sequence[EditCase]) -> Serac:
    settings = resolve(name, backbone.name, changes)
    editor: Serac = factory("editors", name)(settings, STRICT, train=learned, seed=0)
    return editor


def _fill(editor: Serac, backbone: Backbone) -> dict[str, Any]:
    """Fill the networks from the checkpoint that comes along."""
    (path,) = find(editor.name, backbone.name, None)
    kept = read(path)
    editor.load_state_dict(backbone, network_tensors(kept.tensors))
    return {"records": kept.facts.records}


def _train(
    editor: Serac, backbone: Backbone, learned: Sequence[EditCase], held: Sequence[EditCase], store: Store
) -> dict[str, Any]:
    """Train the classifier alone, and keep the one with the lowest loss on the records that are held out."""
    editor.prepare(backbone, learned, store=store)
    network, best, begun = editor.networks(), (float("inf"), 0, {}), time.perf_counter()
    optimizer = torch.optim.Adam(network.scope.parameters(), lr=editor.settings.scope_learning_rate)
    for step, case in enumerate(_order(learned, editor.settings.steps), start=1):
        optimizer.zero_grad()
        scope_losses(editor, backbone, case, store)["scope"].backward()
        optimizer.step()
        if step % LOOK == 0:
            with torch.no_grad():
                loss = sum(float(scope_losses(editor, backbone, each, store)["scope"]) for each in held) / len(held)
            if loss < best[0]:
                best = loss, step, {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(best[2])
    return {"loss": round(best[0], 4), "records": best[1], "seconds": round(time.perf_counter() - begun, 1)}


def _order(learned: Sequence[EditCase], steps: int) -> Iterator[EditCase]:
    """Yield so many records, epoch by epoch in a seeded order."""
    draw, left = random.Random(0), steps  # noqa: S311 - a draw, not a secret
    while left > 0:
        epoch = draw.sample(list(learned), len(learned))[:left]
        yield from epoch
        left -= len(epoch)


def _memories(held: Sequence[EditCase], cases: Sequence[EditCase], size: int) -> list[list[EditCase]]:
    """Return for each record that is asked those whose edits are in memory; its own is the last."""
    memories = []
    for number, case in enumerate(held):
        draw = random.Random(number)  # noqa: S311 - a draw, not a secret
        memories.append([*draw.sample([each for each in cases if each.id != case.id], size - 1), case])
    return memories


@torch.no_grad()
def rates(
    editor: Serac,
    backbone: Backbone,
    held: Sequence[EditCase],
    memories: Sequence[Sequence[EditCase]],
    store: Store,
) -> dict[str, list[float]]:
    """Return for each kind of question how many there are, per cent taken for some edit, and for the own one."""
    counted: dict[str, list[int]] = {}
    for case, remembered in zip(held, memories, strict=True):
        memory = editor.remember(backbone, [each.edits[0] for each in remembered], None, store=store)
        queries = [probe.query for probe in case.probes]
        routes = editor.decide(backbone, queries, [each.edits[0] for each in remembered], memory, store=store)
        for probe, route in zip(case.probes, routes, strict=True):
            count = counted.setdefault(probe.kind.name, [0, 0, 0])
            for place, hit in enumerate((True, route is not None, route == len(remembered) - 1)):
                count[place] += hit
    return {
        kind: [asked, round(100 * some / asked, 1), round(100 * own / asked, 1)]
        for kind, (asked, some, own) in counted.items()
    }


if __name__ == "__main__":
    main()
