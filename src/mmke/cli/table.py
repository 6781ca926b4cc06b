"""`mmke table`: tables of a results folder."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmke.cli import options
from mmke.errors import UserError

Format = Literal["text", "json", "csv", "latex", "markdown"]

logger = logging.getLogger(__name__)


def table(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of results.", callback=options.home)] = Path(
        "results"
    ),
    format: Annotated[Format, typer.Option(help="How the table is written.", case_sensitive=False)] = "text",  # noqa: A002
    by: Annotated[
        str | None, typer.Option(metavar="TAG", help="Break every figure down by a tag, such as rephrase_style.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every metric, not only the published six.")] = False,  # noqa: A002
    published: Annotated[bool, typer.Option("--published", help="Put the paper's figures beside ours.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Of the streams in the folder: what is kept while edits add up.")
    ] = False,
    difference: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            help="Of streams: editor A − editor B, paired by case and state.",
            show_default=False,
        ),
    ] = None,
    scope: Annotated[
        bool, typer.Option("--scope", help="How wide edits reach, and what gates decided (needs --probes all).")
    ] = False,
    composition: Annotated[
        bool, typer.Option("--composition", help="Records as one edit and as two (benchmarks NAME and NAME@split).")
    ] = False,
) -> int:
    """Make tables of a results folder; loads no model."""
    if (stream or difference is not None) + scope + composition > 1:
        raise UserError(
            "--stream, --scope and --composition are tables of their own, and --difference is of streams; ask for one "
            "at a time"
        )
    if published and (stream or difference):
        raise UserError("--published has no figures of streams; leave it out")
    if scope or composition:
        if by or published or all:
            raise UserError("--by, --published and --all do not go with --scope and --composition; leave them out")
        print(_scope(folder, format) if scope else _composition(folder, format))
        return 0
    if stream or difference:
        print(_streams(folder, format, by=by, difference=difference, every_metric=all))
        return 0
    from mmke.report.cells import read_cells, stream_folders
    from mmke.report.table import render

    print(render(read_cells(folder, by=by), format, published=published, every_metric=all))
    streams = len(stream_folders(folder))
    if streams:
        logger.info("passed over %d stream%s: mmke table %s --stream", streams, "s" * (streams > 1), folder)
    return 0


def _scope(folder: Path, form: Format) -> str:
    from mmke.report.scope import read_scopes
    from mmke.report.scope_table import render_scopes

    return render_scopes(read_scopes(folder), form)


def _composition(folder: Path, form: Format) -> str:
    from mmke.report.composition import read_compositions, render_compositions

    return render_compositions(read_compositions(folder), form)


def _streams(
    folder: Path, form: Format, *, by: str | None, difference: tuple[str, str] | None, every_metric: bool
) -> str:
    from mmke.report.streams.render import render_streams
    from mmke.report.streams.summaries import differences, read_streams

    streams = read_streams(folder, by=by)
    return render_streams(differences(streams, *difference) if difference else streams, form, every_metric=every_metric)
