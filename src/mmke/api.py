"""The same from Python: load a backbone, edit it, ask it, undo, and run a benchmark.

Example::

    import mmke

    backbone = mmke.load_backbone("smol-llava")
    editor = mmke.load_editor("ft-llm", backbone="smol-llava")  # a trained one: load_editor("mend", backbone=backbone)
    picture = mmke.picture("flag.png")
    with editor.open(backbone, mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query("Which flag is this?", picture), "the flag of Peru")])
        print(mmke.say(session, "Which country is this?", picture))
        session.save("my-edit")  # a folder, which load_edit reads
    print(mmke.say(backbone, "Which country is this?", picture))  # as before: leaving undoes the edit

    cells = mmke.run_benchmark(mmke.Request("smol-llava", ("ft-llm",), ("mini-entity",), limit=6))
    streams = mmke.read_streams("results")  # what `mmke stream` left there
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks import open as benchmarks
from mmke.editing.trained import digest
from mmke.edits.kept import KeptEditor, records_digest
from mmke.edits.loading import load_edit
from mmke.edits.making import fill
from mmke.edits.record import MadeWith
from mmke.errors import UserError
from mmke.protocols import Answerer, Backbone, EditSession, Store, TrainableEditor
from mmke.report.cells import CellSummary, read_cells
from mmke.report.streams import summaries
from mmke.report.streams.summaries import StreamSummary
from mmke.running.by_workers import run_by
from mmke.running.editors import make_editor
from mmke.running.generators import generators_kept
from mmke.running.loading import load_backbone
from mmke.running.planning import plan
from mmke.running.request import Request, check_request
from mmke.running.stream_settings import StreamSettings
from mmke.types import ASKED, PAPER, STRICT, Ask, Benchmark, Edit, EditCase, ImageRef, Probe, Query
from mmke.workers.settings import WorkerSettings

__all__ = [
    "PAPER",
    "STRICT",
    "Ask",
    "Edit",
    "Probe",
    "Query",
    "Request",
    "StreamSettings",
    "UserError",
    "load_backbone",
    "load_edit",
    "load_editor",
    "open_benchmark",
    "picture",
    "read_streams",
    "run_benchmark",
    "run_stream",
    "say",
    "store",
]


logger = logging.getLogger(__name__)

MAX_NEW_TOKENS = 128
"""Of an answer to `say`."""


def load_editor(
    name: str,
    *,
    backbone: str | Backbone,
    checkpoint: str | Path | None = None,
    train: Sequence[EditCase] = (),
    protocol: str = "strict",
    seed: int = 0,
    **settings: Any,
) -> KeptEditor:
    """Make an editor by its name (`mmke ls editors`).

    Args:
        name: registered name.
        backbone: the backbone, or its name, whose settings are taken. An editor with trained networks needs the loaded
            backbone itself, for which they are made.
        checkpoint: of an editor with trained networks; None: the one that comes with mmke, where there is one.
        train: training records, for editors that use them: `open_benchmark(…).load("train", …).cases`.
        protocol: "strict" or "paper".
        seed: for whatever draws.
        settings: laid over the shipped settings, such as `steps=20`.

    Raises:
        UserError: unknown name or setting; no checkpoint, or one that does not fit.
    """
    loaded = None if isinstance(backbone, str) else backbone
    request = Request(
        backbone if isinstance(backbone, str) else backbone.name,
        (name,),
        (),
        protocol=protocol,
        changes={name: settings},
        checkpoints={} if checkpoint is None else {name: Path(checkpoint).expanduser()},
        seed=seed,
    )
    check_request(request)
    made = make_editor(request, name, None, train=train)
    if made.checkpoint is not None and isinstance(made.editor, TrainableEditor):
        if loaded is None:
            raise UserError(
                f"{name} has trained networks, which are made for a loaded backbone: "
                f"load_editor({name!r}, backbone=mmke.load_backbone({request.backbone!r}))"
            )
        made.editor.check(loaded)
        fill(made.editor, loaded, made.checkpoint)
    by = MadeWith(
        editor=name,
        protocol=protocol,
        seed=seed,
        settings=json.loads(json.dumps(dict(made.settings))),
        checkpoint=None if made.checkpoint is None else digest(made.checkpoint),
        training_records=records_digest(train),
    )
    return KeptEditor(made.editor, by)


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


def say(
    answerer: Answerer | EditSession,
    question: str,
    image: ImageRef | None = None,
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> str:
    """Return what a backbone or a session writes by itself (greedy decoding) in answer to a question.

    An answer ends at the end of sequence or at the end of its line. One that would be longer than `max_new_tokens` is
    cut there, which is logged as a warning.

    Raises:
        UserError: an empty question, or a number of tokens below one.
    """
    if max_new_tokens < 1:
        raise UserError(f"max_new_tokens = {max_new_tokens}; give a number from 1 up")
    ask = Ask(decode="generate", max_new=max_new_tokens)
    answer = answerer.answer([Probe(ASKED, Query(question, image), "")], ask)[0]
    if answer.finished is False:
        logger.warning(
            "the answer was cut after %d tokens; say(…, max_new_tokens=%d) lets the model write more",
            max_new_tokens,
            2 * max_new_tokens,
        )
    return answer.text


def run_benchmark(request: Request, *, workers: int = 1) -> list[CellSummary]:
    """Do what `mmke run` does and return its cells, as `mmke table --format json` prints them.

    The caller's random generators (of Python, numpy and torch, on every device) are left as they were.

    Args:
        request: what is run.
        workers: how many processes do it side by side, with the same rows; 1: this one. With "cuda" each has a GPU.

    Raises:
        UserError: a mistake in the request, found before any weights are read; or a record that was left out.
    """
    if request.stream is not None:
        raise UserError("this request is a stream, whose figures are others: run_stream(request)")
    with generators_kept():
        return read_cells(request.out, only=_run(request, workers))


def run_stream(request: Request, *, workers: int = 1) -> list[StreamSummary]:
    """Do what `mmke stream` does and return its figures, as `mmke table --stream --format json` prints them.

    The caller's random generators are left as they were.

    Args:
        request: with `stream` and `order_seeds`.
        workers: see `run_benchmark`; each stream is done by one.

    Raises:
        UserError: a mistake in the request, found before any weights are read; or a stream that was left out.
    """
    if request.stream is None:
        raise UserError("this request is no stream: give it stream=, or call run_benchmark(request)")
    with generators_kept():
        return summaries.read_streams(request.out, only=_run(request, workers))


def read_streams(out: str | Path, *, by: str | None = None) -> list[StreamSummary]:
    """Return the figures of every stream below a results folder; no model is loaded.

    Args:
        out: a results folder, or any folder inside one.
        by: a tag of the probes; each of its values gets columns of its own, such as `i_gen[held-out]`.

    Raises:
        UserError: no stream there, two of one editor and order, a broken file, or a tag that no probe has.
    """
    return summaries.read_streams(Path(out), by=by)


def _run(request: Request, workers: int) -> list[Path]:
    if workers < 1:
        raise UserError(f"workers = {workers}; give a number from 1 up")
    settings = WorkerSettings(workers, device=request.device, threads=torch.get_num_threads(), folder=request.out)
    outcome = run_by(plan(request), settings)
    if outcome.problems:
        told = "\n".join(f"{problem.what}: {problem.why}" for problem in outcome.problems)
        raise UserError(f"left out, and everything else was run:\n{told}")
    return outcome.folders
