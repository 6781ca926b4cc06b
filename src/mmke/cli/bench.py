"""`mmke bench`: speed and memory beside the plain loop."""

import json
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmke.cli import options
from mmke.cli.words import command_line
from mmke.errors import UserError
from mmke.threads import limit_threads

if TYPE_CHECKING:
    from mmke_bench.bench import BenchRequest

EDITORS = ("none", "ft-llm", "ft-alignment", "ike")
BENCHMARKS = ("mini-entity",)
STREAM = "Stream"


STREAM_EDITORS = ("ft-llm",)


def bench(
    backbone: options.BackboneName = "smol-llava",
    editor: options.Editors = None,
    benchmark: options.Benchmarks = None,
    records: Annotated[
        int,
        typer.Option(
            metavar="N",
            callback=options.number("--records", 1),
            help="Of each benchmark, that count.",
            rich_help_panel=options.WHAT,
        ),
    ] = 3,
    warm: Annotated[
        int,
        typer.Option(
            metavar="N",
            callback=options.number("--warm", 0),
            help="Records before those that count.",
            rich_help_panel=options.WHAT,
        ),
    ] = 1,
    words: Annotated[
        int,
        typer.Option(
            metavar="N",
            callback=options.number("--words", 0),
            help="Of each description; 0: as they are.",
            rich_help_panel=options.WHAT,
        ),
    ] = 0,
    steps: Annotated[
        int,
        typer.Option(
            metavar="N",
            callback=options.number("--steps", 0),
            help="Of training, for editors that are trained.",
            rich_help_panel=options.WHAT,
        ),
    ] = 3,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Many edits in one model, instead of one record a time.", rich_help_panel=STREAM),
    ] = False,
    tests: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Edits; more than there are records repeat these in other words (default: 100).",
            rich_help_panel=STREAM,
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(metavar="B", help="Records of one step.", rich_help_panel=STREAM)] = None,
    score: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="As in mmke stream (default: right,end).", rich_help_panel=STREAM),
    ] = None,
    panel: Annotated[
        int | None,
        typer.Option(metavar="M", help="Records scored at checkpoints; 0: all.", rich_help_panel=STREAM),
    ] = None,
    plain_tests: Annotated[
        int,
        typer.Option(
            metavar="N",
            callback=options.number("--plain-tests", 1),
            help="Edits that the plain loop makes, each asked right away and behind the last.",
            rich_help_panel=STREAM,
        ),
    ] = 3,
    seconds: Annotated[
        int | None,
        typer.Option(
            metavar="S",
            callback=options.number("--seconds", 1),
            help="End the stream of each side after so long, wherever it is.",
            rich_help_panel=STREAM,
        ),
    ] = None,
    data: options.Data = None,
    protocol: options.Protocol = "strict",
    assignments: options.Settings = None,
    settings_of: Annotated[
        str | None,
        typer.Option(
            metavar="B",
            help="Backbone whose settings are taken (default: its own).",
            autocompletion=options.names("backbones"),
            callback=options.known("backbones"),
            rich_help_panel=options.HOW,
        ),
    ] = None,
    side: Annotated[
        Literal["plain", "mmke"] | None, typer.Option(help="This one alone.", rich_help_panel=options.HOW)
    ] = None,
    clock: Annotated[
        Literal["wall", "cpu"], typer.Option(help="For the ratios.", rich_help_panel=options.HOW)
    ] = "wall",
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    memory: Annotated[
        float | None,
        typer.Option(metavar="GIB", help="Take no more of the GPU's memory than this.", rich_help_panel=options.WHERE),
    ] = None,
    keep: options.Keep = None,
    threads: Annotated[
        int,
        typer.Option(
            metavar="N",
            callback=options.number("--threads", 1),
            help="Threads of the processor.",
            rich_help_panel=options.WHERE,
        ),
    ] = 1,
    weights: options.Weights = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write everything that was measured as JSON.",
            callback=options.home,
            rich_help_panel=options.WHERE,
        ),
    ] = None,
) -> int:
    """Time editors beside the plain loop on the same records, and compare their rows.

    The plain loop runs the whole model at every step, one question a pass, and keeps nothing. Weights may be random:
    time and memory do not depend on them.
    """
    if benchmark is None and data is not None:
        raise UserError(options.OWN_DATA.format(data=data))
    if out is not None and out.is_dir():
        raise UserError(f"--out {out} is a folder; name a file in it")
    if "," in device:
        raise UserError(f"--device {device}: mmke bench compares on one GPU; name one")
    given = {"tests": tests, "batch": batch, "score": score, "panel": panel}
    about_streams = {**given, "seconds": seconds}
    stray = next((name for name, value in about_streams.items() if value is not None), None)
    if stray is not None and not stream:
        raise UserError(f"--{stray} is about a stream; add --stream")
    limit_threads(threads)
    from mmke.editing.settings import read_changes
    from mmke.running.request import Request
    from mmke.running.stream_settings import settings_of as stream_settings
    from mmke_bench.bench import BenchRequest

    request = Request(
        backbone=backbone,
        editors=tuple(editor or (STREAM_EDITORS if stream else EDITORS)),
        benchmarks=tuple(benchmark or BENCHMARKS),
        protocol=protocol,
        changes=read_changes(assignments or [], None),
        data=data,
        # Where nothing is written to, nothing has to be writable.
        out=Path(tempfile.gettempdir()) if out is None else out.parent,
        device=device,
        dtype=dtype,
        weights=options.weight_source(weights),
        on_disk=options.in_bytes(keep),
        stream=stream_settings(None, given) if stream else None,
    )
    order = BenchRequest(
        request,
        records=records,
        warm=warm,
        words=words,
        steps=steps,
        sides=("plain", "mmke") if side is None else (side,),
        settings_of=settings_of,
        gib=memory,
        plain_tests=plain_tests,
        seconds=seconds,
    )
    limit_threads(threads)
    return _carry_out(order, command_line(), clock, out)


def _carry_out(order: "BenchRequest", command: list[str], clock: Literal["wall", "cpu"], out: Path | None) -> int:
    from transformers.utils import logging as library

    from mmke_bench.bench import facts, measure
    from mmke_bench.show import lines
    from mmke_bench.show_stream import stream_lines
    from mmke_bench.streams import measure_streams

    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    measured, tell = [], logging.getLogger("mmke").info
    found = (
        ((each.data(), lines(each, clock)) for each in measure(order, tell=tell))
        if order.request.stream is None
        else ((each.data(), stream_lines(each)) for each in measure_streams(order, tell=tell))
    )
    for data, shown in found:
        measured.append(data)
        print("\n".join(shown), end="\n\n", flush=True)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({**facts(order, command), "measured": measured}, indent=1)
            out.write_text(text + "\n", encoding="utf-8")
    return 0
