"""`mmke stream`: edit many records into one model, and score them right away, after gaps and at checkpoints.

In: options, laid over a preset. Out: a `Request` with the settings of a stream; the rest is as in `mmke run`.
"""

from pathlib import Path
from typing import Annotated

import typer

from mmke.abilities.suites import DATA, LIMIT, Wanted, parse_names
from mmke.cli import options
from mmke.cli.run import carry_out, checkpoints
from mmke.cli.words import command_line
from mmke.errors import UserError
from mmke.results.shard import parse_shard
from mmke.threads import limit_threads

WHEN = "Stream"
ABOUT_SCORE = "any of before, right, gap:2, at:1,3,10 and end, joined by commas"


def stream(
    backbone: options.BackboneName = "smol-llava",
    editor: options.Editors = None,
    benchmark: options.Benchmarks = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Settings by a name: single, vlkeb-seq, mmke-users, liveedit, memeic, turns, lifelong.",
            rich_help_panel=WHEN,
        ),
    ] = None,
    tests: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Records that are edited and scored; 0: all (default: 100, or all that there are).",
            rich_help_panel=WHEN,
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(metavar="B", help="Records of one step (default: 1).", rich_help_panel=WHEN)
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER",
            help="seed (default), file, or grouped:TAG, such as grouped:type_self or grouped:user.",
            rich_help_panel=WHEN,
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(metavar="S", help="Of the order; several are several streams (default: 0).", rich_help_panel=WHEN),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help=f"{ABOUT_SCORE} (default: right,end).", rich_help_panel=WHEN),
    ] = None,
    panel: Annotated[
        int | None,
        typer.Option(
            metavar="M", help="At checkpoints score a sample of M records; 0: all (default).", rich_help_panel=WHEN
        ),
    ] = None,
    reset: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Begin anew with the unedited model after N records; 0: never.", rich_help_panel=WHEN
        ),
    ] = None,
    distract: Annotated[
        int | None,
        typer.Option(metavar="D", help="First make D edits that are never scored.", rich_help_panel=WHEN),
    ] = None,
    distract_from: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Take these D edits from a file of edits, or from what --benchmark takes.",
            rich_help_panel=WHEN,
        ),
    ] = None,
    groups: Annotated[
        int | None,
        typer.Option(metavar="N", help="Begin anew after N groups of a grouped order.", rich_help_panel=WHEN),
    ] = None,
    items: Annotated[
        int | None, typer.Option(metavar="N", help="Use at most N records of each group.", rich_help_panel=WHEN)
    ] = None,
    first_of_group: Annotated[
        bool | None,
        typer.Option("--first-of-group", help="Score only the first record of each group.", rich_help_panel=WHEN),
    ] = None,
    abilities: Annotated[
        str | None,
        typer.Option(
            metavar="[SUITES]",
            help="At checkpoints ask what the model could do already: names joined by commas (mmke abilities --help); "
            "without names all that are here.",
            rich_help_panel=WHEN,
        ),
    ] = None,
    abilities_data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder with your copies of POPE, MMBench and ScienceQA.",
            callback=options.home,
            rich_help_panel=WHEN,
        ),
    ] = DATA,
    questions: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Questions of each suite of abilities; 0: all.",
            callback=options.number("--questions", 0),
            rich_help_panel=WHEN,
        ),
    ] = LIMIT,
    hop: options.Hop = 1,
    data: options.Data = None,
    protocol: options.Protocol = "strict",
    probes: options.Probes = None,
    partners: options.Partners = None,
    metric: options.Metrics = None,
    generate: options.Generate = False,
    assignments: options.Settings = None,
    settings: options.SettingsFile = None,
    checkpoint: options.Checkpoints = None,
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
    """Edit records one on top of the other into one model, and score them right away, after gaps and at checkpoints.

    A stream that was stopped continues with the same command. The tables of streams: mmke table FOLDER --stream.
    """
    if benchmark is None and data is not None:
        raise UserError(options.OWN_DATA.format(data=data))
    limit_threads(threads)
    from mmke.cli.workers import laid_over, worker_settings
    from mmke.editing.settings import read_changes
    from mmke.running import stream_settings
    from mmke.running.request import Request, check_request

    chosen = None if preset is None else stream_settings.preset(preset)
    names = tuple(benchmark or ("+".join(options.QUICK_BENCHMARKS),))
    if chosen is not None and chosen.suffix:
        parts = [part for name in names for part in name.split("+")]
        stray = next((part for part in parts if chosen.suffix not in part), None)
        if stray is not None:
            raise UserError(
                f"--preset {preset} edits each record in two parts, and {stray} is not divided; divide each benchmark, "
                f"such as --benchmark mini-entity{chosen.suffix}+mini-user{chosen.suffix}"
            )
    given = {
        "tests": tests,
        "batch": batch,
        "order": order,
        "score": score,
        "panel": panel,
        "reset": reset,
        "distract": distract,
        "distract_from": distract_from,
        "groups": groups,
        "items": items,
        "first_of_group": first_of_group,
    }
    request = Request(
        backbone=backbone,
        editors=tuple(editor) if editor else None,
        benchmarks=names,
        hop=hop,
        protocol=protocol,
        probes=probes or getattr(chosen, "probes", None) or "published",
        partners=partners or getattr(chosen, "partners", None) or "eval",
        metrics=tuple(metric or ()),
        generate=generate,
        changes=read_changes(assignments or [], settings),
        checkpoints=checkpoints(checkpoint or []),
        data=data,
        out=out,
        device=device,
        dtype=dtype,
        weights=weights,
        on_disk=options.in_bytes(keep),
        shard=None if shard is None else parse_shard(shard),
        stream=stream_settings.settings_of(chosen, given),
        order_seeds=tuple(dict.fromkeys(seed)) if seed else (chosen.seeds if chosen else (0,)),
        # Absolute: a worker may have another current folder.
        abilities=None if abilities is None else Wanted(parse_names(abilities), abilities_data.absolute(), questions),
    )
    check_request(request)
    settings_of_workers = worker_settings(request, workers, ray=ray, cards=cards_per_worker, threads=threads)
    request = laid_over(request, cards_per_worker)
    return carry_out(request, command_line(), settings_of_workers, track=track, dry=dry)
