"""`mmke run`: edit, ask, score, and show the table.

In: options. Out: a `Request` for `mmke.running`, which does the work; here it is announced, watched and shown.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmke import registry
from mmke.cli import options
from mmke.cli.progress import progress
from mmke.cli.words import command_line
from mmke.errors import UserError
from mmke.results.shard import parse_shard
from mmke.threads import limit_threads

if TYPE_CHECKING:
    from mmke.running.planning import Plan
    from mmke.running.request import Request
    from mmke.workers.settings import WorkerSettings

QUICK_LIMIT = 6
FLOOR = "none"


def run(
    backbone: options.BackboneName = "smol-llava",
    editor: options.Editors = None,
    edit: options.EditFolders = None,
    benchmark: options.Benchmarks = None,
    hop: options.Hop = 1,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=options.number("--limit", 0),
            help=f"Records of each benchmark; 0: all (default: all; without --benchmark {QUICK_LIMIT}).",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    data: options.Data = None,
    protocol: options.Protocol = "strict",
    probes: options.Probes = None,
    partners: options.Partners = None,
    metric: options.Metrics = None,
    generate: options.Generate = False,
    assignments: options.Settings = None,
    settings: options.SettingsFile = None,
    checkpoint: options.Checkpoints = None,
    seed: options.Seed = 0,
    out: options.Out = Path("results"),
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    workers: options.Workers = None,
    ray: options.Ray = None,
    cards_per_worker: options.CardsPerWorker = None,
    weights: options.WeightsFolder = None,
    keep: options.Keep = None,
    shard: options.ShardOf = None,
    track: options.Track = None,
    dry: options.Dry = False,
) -> int:
    """Edit each record, ask its probes before and after, and score them beside the unedited model.

    With --edit nothing is edited: every record is asked of the model with that saved edit in force.

    Without options: smol-llava, every editor that needs no training or has been trained, the first 6 records of each
    mini benchmark. A run that was stopped continues with the same command.
    """
    if benchmark is None and data is not None:
        raise UserError(options.OWN_DATA.format(data=data))
    limit_threads(threads)
    from mmke.cli.workers import laid_over, worker_settings
    from mmke.editing.settings import read_changes
    from mmke.running.request import Request, check_request

    quick = benchmark is None
    request = Request(
        backbone=backbone,
        editors=tuple(editor) if editor else None,
        benchmarks=tuple(benchmark or options.QUICK_BENCHMARKS),
        hop=hop,
        limit=limit if limit is not None else (QUICK_LIMIT if quick else 0),
        protocol=protocol,
        probes=probes or "published",
        partners=partners or "eval",
        metrics=tuple(metric or ()),
        generate=generate,
        changes=read_changes(assignments or [], settings),
        checkpoints=checkpoints(checkpoint or []),
        data=data,
        out=out,
        device=device,
        dtype=dtype,
        weights=weights,
        seed=seed,
        on_disk=options.in_bytes(keep),
        shard=None if shard is None else parse_shard(shard),
    )
    check_request(request)
    if edit:
        from mmke.cli.probing import probe

        given = {"--editor": editor, "--set": assignments, "--settings": settings, "--ray": ray}
        return probe(request, edit, given | {"--shard": shard, "--track": track}, threads=threads, dry=dry)
    settings_of_workers = worker_settings(request, workers, ray=ray, cards=cards_per_worker, threads=threads)
    request = laid_over(request, cards_per_worker)
    return carry_out(request, command_line(), settings_of_workers, track=track, dry=dry)


def checkpoints(assignments: Sequence[str]) -> Mapping[str, Path]:
    """Read `--checkpoint EDITOR=PATH`, each of one editor.

    Raises:
        UserError: another form, or an unknown editor.
    """
    given = {}
    for assignment in assignments:
        editor, equals, path = assignment.partition("=")
        if not equals or not path:
            raise UserError(f"--checkpoint {assignment!r} is not of the form EDITOR=PATH, such as mend=my.safetensors")
        registry.import_string("editors", editor)
        given[editor] = options.expanded(Path(path))
    return given


def carry_out(
    request: "Request", command: Sequence[str], workers: "WorkerSettings", *, track: str | None, dry: bool
) -> int:
    """Plan a request, announce it, run it and show its table, and send it to a tracker where one is named."""
    # In this order, so that a mistake is told before the libraries that it does not need are loaded.
    from mmke.trackers.sending import open_tracker
    from mmke.trackers.sending import track as send

    tracker = None if track is None else open_tracker(track, folder=request.out)
    options.check_data(request.benchmarks, request.data)
    from mmke.running.planning import plan

    if request.probes != "published":
        options.without_bars()  # a sentence encoder is read to find partners
    planned = plan(replace(request, elsewhere=workers.elsewhere))
    limit_threads(workers.threads)
    _announce(planned)
    from mmke.running.by_workers import run_by
    from mmke.running.run import check_sites

    options.without_bars()
    if dry:
        check_sites(planned)
        _show_settings(planned)
        print("names, settings, data, weights and edit sites resolve; nothing was run")
        return 0
    with progress(planned.records) as shown:
        outcome = run_by(planned, workers, command=command, on_record=shown.step)
    if not planned.cells:
        print(f"shard {request.shard} is empty: there is less to divide than shards; mmke merge takes it as it is")
        return 0
    _show(planned, outcome.folders)
    if tracker is not None:
        print("\n".join(f"{track}: {seen}" for seen in send(tracker, outcome.folders)))
    for problem in outcome.problems:
        print(f"mmke: {problem}", file=sys.stderr)
    return 1 if outcome.problems else 0


def _show_settings(planned: "Plan") -> None:
    """Say each editor's settings, and which file or option each comes from."""
    from mmke.editing.checked import sources_of

    told = [
        f"{cell.editor.name}.{key} = {value!r}  ({sources_of(cell.settings).get(key, 'the command')})"
        for cell in planned.cells
        for key, value in cell.settings.items()
    ]
    print("\n".join(dict.fromkeys(told)))


def _announce(planned: "Plan") -> None:
    """Say what is about to be done, with the number of records used and dropped."""
    request = planned.request
    editors = dict.fromkeys(cell.editor.name for cell in planned.whole)
    precision = request.dtype or "its own precision"
    print(f"{request.backbone} on {request.device}, {precision}, protocol {request.protocol}, hop {request.hop}")
    print(f"editors: {', '.join(editors)} (none is the floor)")
    for cell in {cell.benchmark.name: cell for cell in planned.whole}.values():
        print(f"{cell.benchmark.name}: {cell.text()}", flush=True)
    if request.shard is not None:
        whole = sum(len(cell.keys) for cell in planned.whole)
        print(f"shard {request.shard}: {planned.records} of {whole} records of all editors", flush=True)


def _show(planned: "Plan", folders: Sequence[Path]) -> None:
    from mmke.report.cells import read_cells
    from mmke.report.table import render

    request = planned.request
    if request.stream is not None:
        from mmke.report.streams.render import render_streams
        from mmke.report.streams.summaries import read_streams

        # Every order of a stream lies in one folder, beside that of the floor.
        for folder in dict.fromkeys(folder.parents[1] for folder in folders if folder.name == FLOOR):
            print(render_streams(read_streams(folder), "text"))
        print(f"\nrows, settings and timings: {request.out}/  (mmke table {request.out} --stream)")
        return
    shown = read_cells(request.out, only=folders)
    print(render(shown, "text"))
    print(f"\nrows, settings and timings: {request.out}/  (mmke table {request.out})")
    if request.shard is not None:
        return
    # A folder may hold more than this command asked for.
    available = {cell.benchmark.name: cell.available for cell in planned.cells}
    if any(cell.n < available[cell.benchmark] for cell in shown):
        print("These are the first records of each benchmark; all of them: the same command with --limit 0")
