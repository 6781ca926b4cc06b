"""`mmke train`: train one or several editors.

In: options. Out: a `TrainRequest` for each training, for `mmke.training`, which does the work; their progress and the
best checkpoints are shown here.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmke.cli import options
from mmke.cli.progress import progress
from mmke.threads import limit_threads

if TYPE_CHECKING:
    from mmke.training.train import TrainingPlan

CheckpointsFolder = Annotated[
    Path,
    typer.Option(metavar="DIR", help="Where checkpoints go.", callback=options.home, rich_help_panel=options.WHERE),
]
Each = Annotated[
    bool,
    typer.Option(
        "--each", help="A training for each benchmark, not one on all of them together.", rich_help_panel=options.WHAT
    ),
]


def train(
    editors: options.EditorArguments,
    backbone: options.BackboneName = "smol-llava",
    benchmark: options.Benchmarks = None,
    each: Each = False,
    data: options.Data = None,
    protocol: options.Protocol = "strict",
    assignments: options.OwnSettings = None,
    settings: options.SettingsFile = None,
    seed: options.Seed = 0,
    out: CheckpointsFolder = Path("checkpoints"),
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    workers: options.Workers = None,
    ray: options.Ray = None,
    cards_per_worker: options.CardsPerWorker = None,
    weights: options.Weights = None,
) -> int:
    """Train editors on the training records of one or more benchmarks (the three mini ones if none is named).

    Some records are held out to validate with. The best and the last checkpoint are kept where `mmke run` finds them. A
    training that was stopped continues with the same command. Several trainings are done side by side (--workers,
    --ray). Several processes for one training: accelerate launch -m mmke.cli train ...
    """
    limit_threads(threads)
    benchmarks = tuple(dict.fromkeys(benchmark or options.QUICK_BENCHMARKS))
    names = tuple(dict.fromkeys(editors))
    changes = {name: own_changes(name, assignments or [], settings, among=names) for name in names}
    options.check_data(benchmarks, data)
    from mmke.cli.workers import worker_settings
    from mmke.training.by_workers import train_by
    from mmke.training.train import TrainRequest, plan, records_done

    requests = [
        TrainRequest(
            editor=name,
            backbone=backbone,
            benchmarks=on,
            protocol=protocol,
            changes=changes[name],
            data=data,
            out=out,
            device=device,
            dtype=dtype,
            weights=options.weight_source(weights),
            seed=seed,
        )
        for name in names
        for on in ([(one,) for one in benchmarks] if each else [benchmarks])
    ]
    by = worker_settings(requests[0], workers, ray=ray, cards=cards_per_worker, threads=threads)
    plans = [plan(replace(request, elsewhere=by.elsewhere)) for request in requests]
    limit_threads(threads)
    from transformers.utils import logging as library

    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    first = plans[0].processes.first
    if first:
        _announce(plans)
    done = sum(records_done(planned) for planned in plans)
    with progress(sum(planned.records for planned in plans), initial=done, silent=not first) as shown:
        outcome = train_by(plans, by, on_records=shown.reach)
    if first:
        _show(outcome.best)
    for problem in outcome.problems:
        print(f"mmke: {problem}", file=sys.stderr)
    return 1 if outcome.problems else 0


def _announce(plans: Sequence["TrainingPlan"]) -> None:
    for planned in plans:
        on = f", {' and '.join(planned.names)}" if len(plans) > 1 else ""
        counts = f"{len(planned.cases)} records to train on, {len(planned.validation_cases)} to validate with"
        print(f"{planned.request.editor} on {planned.request.backbone}{on}: {counts}", flush=True)


def _show(best: Sequence[Path]) -> None:
    for file in best:
        folder = file.parent
        board = f", and for TensorBoard {folder}/tensorboard" if (folder / "tensorboard").is_dir() else ""
        print(f"best: {file}\ncurves: {folder}/curves.jsonl{board}")


def own_changes(
    editor: str, assignments: Sequence[str], file: Path | None, *, among: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Return the changes of one editor's settings.

    Args:
        editor: its name; it need not stand in front of the key.
        assignments: those of `--set`. One with another editor's name in front is not for this one.
        file: of `--settings`.
        among: the names of all editors that are trained.
    """
    from mmke.editing.settings import read_changes

    named = []
    for assignment in assignments:
        owner = assignment.partition("=")[0].partition(".")[0]
        if owner == editor or owner not in among:
            named.append(assignment if owner == editor else f"{editor}.{assignment}")
    return read_changes(named, file).get(editor, {})
