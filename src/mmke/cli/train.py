"""`mmke train`: train an editor.

In: options. Out: a `TrainRequest` for `mmke.training`, which does the work; its progress and the best checkpoint are
shown here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mmke.cli import options
from mmke.cli.progress import progress
from mmke.threads import limit_threads

CheckpointsFolder = Annotated[
    Path,
    typer.Option(metavar="DIR", help="Where checkpoints go.", callback=options.home, rich_help_panel=options.WHERE),
]


def train(
    editor: options.EditorArgument,
    backbone: options.BackboneName = "smol-llava",
    benchmark: options.Benchmarks = None,
    data: options.Data = None,
    protocol: options.Protocol = "strict",
    assignments: options.OwnSettings = None,
    settings: options.SettingsFile = None,
    seed: options.Seed = 0,
    out: CheckpointsFolder = Path("checkpoints"),
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    weights: options.Weights = None,
) -> int:
    """Train an editor on the training records of one or more benchmarks (the three mini ones if none is named).

    Some records are held out to validate it. The best and the last checkpoint are kept where `mmke run` finds them. A
    training that was stopped continues with the same command. Several processes: accelerate launch -m mmke.cli train …
    """
    limit_threads(threads)
    benchmarks = tuple(benchmark or options.QUICK_BENCHMARKS)
    changes = own_changes(editor, assignments or [], settings)
    options.check_data(benchmarks, data)
    from mmke.training.train import TrainRequest, plan, records_done
    from mmke.training.train import train as run_training

    request = TrainRequest(
        editor=editor,
        backbone=backbone,
        benchmarks=benchmarks,
        protocol=protocol,
        changes=changes,
        data=data,
        out=out,
        device=device,
        dtype=dtype,
        weights=options.weight_source(weights),
        seed=seed,
    )
    planned = plan(request)
    limit_threads(threads)
    from transformers.utils import logging as library

    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    first, folder = planned.processes.first, planned.folder
    if first:
        counts = f"{len(planned.cases)} records to train on, {len(planned.validation_cases)} to validate with"
        print(f"{editor} on {request.backbone}: {counts}", flush=True)
    with progress(planned.records, initial=records_done(planned), silent=not first) as shown:
        best = run_training(planned, on_step=shown.reach)
    if first:
        board = f", and for TensorBoard {folder}/tensorboard" if (folder / "tensorboard").is_dir() else ""
        print(f"best: {best}\ncurves: {folder}/curves.jsonl{board}")
    return 0


def own_changes(editor: str, assignments: Sequence[str], file: Path | None) -> Mapping[str, Any]:
    """Return the changes of one editor's settings, which need not be named in front of the key."""
    from mmke.editing.settings import read_changes

    named = [each if each.partition("=")[0].startswith(f"{editor}.") else f"{editor}.{each}" for each in assignments]
    return read_changes(named, file).get(editor, {})
