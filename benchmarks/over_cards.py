"""A model on one GPU and laid over two: whether the rows are the same bytes, and what each costs.

Every editor edits the first records of mini-entity, once with the whole model on cuda:0 and once with its decoder
layers divided between cuda:0 and cuda:1. The weights of a full-size model are random with the real shapes; networks of
trained editors are trained for two steps. Prints one JSON line for each editor and layout, and one for each comparison.

python benchmarks/over_cards.py --backbone llava-1.5-7b --editor ft-llm --editor ft-alignment --editor ike
"""

import argparse
import gc
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

import torch

from mmke.backbones.engine.cards import cards_of
from mmke.protocols import TrainableEditor
from mmke.results.rows import row_line
from mmke.running.devices import device_name, over_cards, resolve_devices
from mmke.running.execution import Job, execute
from mmke.running.fingerprint import fingerprint
from mmke.running.loading import load
from mmke.running.planning import Cell, plan
from mmke.running.request import Request
from mmke.testing.kit import teach
from mmke_bench.sides import Rows

CHANGES: Mapping[str, Mapping[str, Any]] = {"serac": {"encoder": "random", "picture_head": 0}}
STEPS = 2
"""Steps that a trained editor's fresh networks are trained for, on records that are edited afterwards."""
GIB = 2**30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="llava-1.5-7b")
    parser.add_argument("--editor", action="append", required=True)
    parser.add_argument("--records", type=int, default=3)
    parser.add_argument("--weights", default="random")
    parser.add_argument("--generate", action="store_true")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    found = [
        measured(options, "cpu" if options.device == "cpu" else over_cards(options.device, cards)) for cards in (1, 2)
    ]
    one, two = found
    for editor in one.keys() | two.keys():
        same = editor in one and one.get(editor) == two.get(editor)
        tell(backbone=options.backbone, editor=editor, same_bytes=same)


def measured(options: argparse.Namespace, device: str) -> dict[str, str]:
    """Run every editor, and return the digest of each one's rows."""
    request = Request(
        options.backbone,
        tuple(options.editor),
        ("mini-entity",),
        limit=options.records,
        generate=options.generate,
        changes={name: values for name, values in CHANGES.items() if name in options.editor},
        untrained=True,
        device=device,
        weights=None if options.weights == "own" else options.weights,
    )
    begin = time.perf_counter()
    backbone = load(request)
    job = Job.of(backbone, seed=0)
    tell(backbone=options.backbone, device=device, loaded_s=round(time.perf_counter() - begin, 1), **memory(device))
    digests = {"weights": fingerprint(backbone.module)}
    for cell in plan(request).cells:
        try:
            digests[cell.editor.name] = ran(job, cell, device)
        except Exception as error:  # noqa: BLE001  # the other editors are measured all the same
            tell(editor=cell.editor.name, device=device, error=f"{type(error).__name__}: {error}"[:2000])
    if fingerprint(backbone.module) != job.untouched:
        tell(device=device, error="the backbone has changed")
    del backbone, job
    gc.collect()
    torch.cuda.empty_cache()
    return digests


def ran(job: Job, cell: Cell, device: str) -> str:
    """Run one editor, say what it cost, and return the digest of its rows."""
    if isinstance(cell.editor, TrainableEditor):
        cell.editor.prepare(job.backbone, cell.split.cases, store=job.store)
        teach(cell.editor, job.backbone, cell.split.cases, STEPS, store=job.store)
    kept, begin = Rows(), time.perf_counter()
    execute(job, cell, kept, floor=None)
    seconds = time.perf_counter() - begin
    if isinstance(cell.editor, TrainableEditor):
        cell.editor.release()
    digest = hashlib.sha256(b"".join(row_line(row, rows=1, before=None, after=None) for row in kept.rows))
    answers = hashlib.sha256(repr(kept.rows).encode())
    tell(
        editor=cell.editor.name,
        device=device,
        cards=len(cards_of(job.backbone.module)),
        model=device_name(*resolve_devices(device)),
        records=len(cell.split.cases),
        rows=len(kept.rows),
        seconds=round(seconds, 2),
        last_record=None if kept.timing is None else dict(kept.timing.seconds),
        **memory(device),
    )
    return f"{digest.hexdigest()} {answers.hexdigest()}"


def memory(device: str) -> dict[str, float]:
    """Return the peak of each GPU in GiB reserved."""
    return {
        f"peak_gib_{each}": round(torch.cuda.max_memory_reserved(each) / GIB, 2)
        for each in resolve_devices(device)
        if each.type == "cuda"
    }


def tell(**facts: object) -> None:
    """Print one line."""
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
