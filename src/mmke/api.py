"""The same from Python: load a backbone, edit it, ask it, undo, and run a benchmark.

import mmke

backbone = mmke.load_backbone("smol-llava")
editor = mmke.load_editor("ft-llm", backbone="smol-llava")
picture = mmke.picture("flag.png")
with editor.open(backbone, mmke.store()) as session:
    session.apply([mmke.Edit(mmke.Query("Which flag is this?", picture), "the flag of Peru")])
    print(mmke.say(session, "Which country is this?", picture))
print(mmke.say(backbone, "Which country is this?", picture))  # as before: leaving undoes the edit

cells = mmke.run_benchmark(mmke.Request("smol-llava", ("ft-llm",), ("mini-entity",), limit=6))
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmke import registry
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks import open as benchmarks
from mmke.editing import settings as editor_settings
from mmke.errors import UserError
from mmke.protocols import Answerer, Editor, EditSession, Store
from mmke.report.cells import CellSummary, read_cells
from mmke.running.loading import load_backbone
from mmke.running.planning import plan
from mmke.running.request import Request, resolve_protocol
from mmke.running.run import run
from mmke.types import (
    PAPER,
    STRICT,
    Ask,
    Benchmark,
    Edit,
    EditCase,
    ImageRef,
    Probe,
    ProbeKind,
    Query,
)

__all__ = [
    "PAPER",
    "STRICT",
    "Ask",
    "Edit",
    "Probe",
    "Query",
    "Request",
    "UserError",
    "load_backbone",
    "load_editor",
    "open_benchmark",
    "picture",
    "run_benchmark",
    "say",
    "store",
]


QUESTION = ProbeKind("question", "question", "relation")
"""The kind of what `say` asks; it is never scored."""


def load_editor(
    name: str,
    *,
    backbone: str,
    train: Sequence[EditCase] = (),
    protocol: str = "strict",
    seed: int = 0,
    **settings: Any,
) -> Editor:
    """Make an editor by its name (`mmke ls editors`).

    Args:
        name: registered name.
        backbone: name of the backbone, whose settings are taken.
        train: training records, for editors that use them: `open_benchmark(…).load("train", …).cases`.
        protocol: "strict" or "paper".
        seed: for whatever draws.
        settings: laid over the shipped settings, such as `steps=20`.

    Raises:
        UserError: unknown name or setting.
    """
    registry.import_string("backbones", backbone)
    values = editor_settings.resolve(name, backbone, settings, protocol=protocol)
    switches = editor_settings.resolve_switches(resolve_protocol(protocol), name)
    editor: Editor = registry.factory("editors", name)(values, switches, train=train, seed=seed)
    return editor


def open_benchmark(name: str, *, data: str | Path | None = None) -> Benchmark:
    """Open a benchmark by its name (`mmke ls benchmarks`) or the path of one's own file.

    Raises:
        UserError: unknown name, missing files.
    """
    return benchmarks.open_benchmark(name, data=None if data is None else Path(data))


def store() -> Store:
    """Return an empty store for what is computed once."""
    return MemoryStore()


def picture(path: str | Path) -> ImageRef:
    """Return a reference to a picture file.

    Raises:
        UserError: there is no such file.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"there is no picture {file}")
    return ImageRef(file, hashlib.sha256(file.read_bytes()).hexdigest())


def say(answerer: Answerer | EditSession, question: str, image: ImageRef | None = None) -> str:
    """Return what a backbone or a session writes by itself (greedy decoding) in answer to a question."""
    return answerer.answer([Probe(QUESTION, Query(question, image), "")], Ask(decode="generate"))[0].text


def run_benchmark(request: Request) -> list[CellSummary]:
    """Do what `mmke run` does and return its cells, as `mmke table --format json` prints them.

    Raises:
        UserError: a mistake in the request, found before any weights are read.
    """
    return read_cells(request.out, only=run(plan(request)))
