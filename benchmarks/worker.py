"""One side of the race, in a process of its own: reads commands from standard input, answers with a line of JSON each.

Commands: `{"record": i}` edits and scores one record; `{"record": i, "answer": n}` does so with a description of n
tokens; an empty line ends it. The floor is run before each record, as in every run, and timed by itself: what the
unedited model needed for it is then there for our side, while the plain loop keeps nothing.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from counting import needed_operations, plain_operations, shapes
from mmke import registry
from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.store import MemoryStore
from mmke.protocols import OUTPUT, Cut
from mmke.results.timings import Timing
from mmke.running.fingerprint import fingerprint
from mmke.running.run import PlannedCell, Request, plan
from mmke.running.single import Cell, run_cell
from mmke.types import EditCase, ScoreRow
from plain import Forward, PlainBackbone


@dataclass
class Rows:
    """Takes the place of a run's folder: keeps rows and timings in memory."""

    done: frozenset[str] = frozenset()
    rows: list[ScoreRow] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def append(self, case_id: str, rows: Sequence[ScoreRow], timing: Timing) -> None:
        """Keep one record."""
        self.rows += rows
        self.seconds.update(timing.seconds)


@dataclass(frozen=True)
class Side:
    """One way of computing logits, with the cells to run."""

    backbone: Any
    floor: PlannedCell
    cell: PlannedCell
    plain: bool

    def run(self, case: EditCase) -> dict[str, Any]:
        """Edit and score one record; return what it cost and what came out."""
        store, floor, floor_log = MemoryStore(), {}, []
        if self.floor is not self.cell:
            floor, floor_log = self._timed(self.floor, case, store)[0], self._take_log()
        cost, rows = self._timed(self.cell, case, store)
        log = self._take_log()
        counts = {"operations": self._count(log), "with_floor": self._count([*floor_log, *log])} if self.plain else {}
        return {**cost, "floor": floor, "rows": [_plain_row(row) for row in rows], **counts}

    def _timed(self, cell: PlannedCell, case: EditCase, store: MemoryStore) -> tuple[dict[str, Any], list[ScoreRow]]:
        kept = Rows()
        wall, cpu = time.perf_counter(), time.process_time()
        work = Cell(self.backbone, cell.editor, [case], cell.metrics, None, store, 0)
        run_cell(work, kept, on_record=lambda: None)  # type: ignore[arg-type]
        cost = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "phases": kept.seconds}
        return cost, kept.rows

    def _take_log(self) -> list[Forward]:
        taken = list(self.backbone.log) if self.plain else []
        if self.plain:
            self.backbone.log.clear()
        return taken

    def _count(self, log: Sequence[Forward]) -> dict[str, int]:
        shape, cut = shapes(self.backbone.whole), _cut(self.cell, self.backbone)
        return {"plain": plain_operations(log, shape, cut), "needed": needed_operations(log, shape, cut)}


def main() -> None:
    """Load, then serve commands."""
    options = _options()
    torch.set_num_threads(options.threads)
    request = Request(
        backbone=options.backbone,
        editors=(options.editor,),
        benchmarks=(options.benchmark,),
        data=options.data,
        changes={options.editor: json.loads(options.changes)},
    )
    planned = plan(request)
    begin = time.perf_counter()
    whole = registry.factory("backbones", options.backbone)(
        name=options.backbone, dtype=torch.float32, device=torch.device("cpu")
    )
    loaded = time.perf_counter()
    fingerprint(whole.module)
    marked = time.perf_counter()
    retrieval = getattr(planned.cells[-1].editor, "retrieval", None)
    if retrieval is not None:
        # The sentence encoder is loaded and the corpus embedded once a run, at the first record.
        retrieval.choose("")
    once = {"load": loaded - begin, "fingerprint": marked - loaded, "retrieval": time.perf_counter() - marked}
    _say({**once, "threads": torch.get_num_threads()})
    plain = options.side == "plain"
    side = Side(PlainBackbone(whole) if plain else whole, planned.cells[0], planned.cells[-1], plain)
    _serve(side, whole)


def _serve(side: Side, whole: ComposedBackbone) -> None:
    cases = side.cell.split.cases
    for line in sys.stdin:
        if not line.strip():
            break
        command = json.loads(line)
        case = cases[command["record"] % len(cases)]
        if "answer" in command:
            case = _with_answer(case, whole.prompt.tokenizer, command["answer"])
        _say({**side.run(case), "peak": peak_memory()})


def peak_memory() -> int:
    """Return the most bytes of memory that this process has held (Linux)."""
    # Not the resource usage: that would begin with the size of the program that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _with_answer(case: EditCase, tokenizer: Any, tokens: int) -> EditCase:
    """Return the record with its description cut or repeated to a number of tokens, wherever it is a target."""
    old = case.edits[0].target
    ids = tokenizer(" " + old)["input_ids"]
    new = tokenizer.decode((ids * (tokens // len(ids) + 1))[:tokens]).strip()
    return replace(
        case,
        edits=tuple(replace(edit, target=new) for edit in case.edits),
        probes=tuple(replace(probe, target=new) if probe.target == old else probe for probe in case.probes),
    )


def _cut(cell: PlannedCell, backbone: Any) -> Cut:
    cut = getattr(cell.editor, "cut", None)
    return OUTPUT if cut is None else cut(backbone)


def _plain_row(row: ScoreRow) -> dict[str, Any]:
    said = row.after
    ids, logprob = (list(said.ids), said.target_logprob) if said else ([], None)
    return {"probe": row.probe, "metric": row.metric, "value": row.value, "ids": ids, "logprob": logprob}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=("plain", "mmke"), required=True)
    parser.add_argument("--backbone", default="smol-llava")
    parser.add_argument("--editor", required=True)
    parser.add_argument("--benchmark", required=True)
    parser.add_argument("--changes", default="{}")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
