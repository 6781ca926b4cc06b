"""The plots of a report as files for a paper: white, without titles, readable at the width of a column."""

from collections.abc import Iterator
from pathlib import Path

from mmke.errors import UserError
from mmke.report.charts.collection import Plot, names_of, plots_of_block, plots_of_streams
from mmke.report.charts.look import PAPER, Form, to_bytes
from mmke.report.page.blocks import blocks_of
from mmke.report.page.gather import Gathered


def write_plots(gathered: Gathered, out: Path, form: Form) -> list[Path]:
    """Write each plot, and return the files.

    Args:
        gathered: the runs.
        out: a folder; or the file's name, ending in the form, where there is one plot.
        form: "svg", "png" or "pdf".

    Raises:
        UserError: nothing to draw, one name for several plots, a library is missing, or a file cannot be written.
    """
    plots = list(_plots(gathered))
    if not plots:
        raise UserError("there is nothing to draw: no editor has figures beside the unedited model's")
    named = out.suffix == f".{form}"
    if named and len(plots) > 1:
        names = ", ".join(plot.name for plot in plots)
        raise UserError(f"--out {out} is one file, and there are {len(plots)} plots ({names}); name a folder")
    files = []
    for plot in plots:
        file = out if named else out / f"{plot.name}.{form}"
        content = to_bytes(plot.charts[0], form)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError as error:
            raise UserError(f"cannot write {file} ({error.strerror}); choose another --out") from error
        files.append(file)
    return files


def _plots(gathered: Gathered) -> Iterator[Plot]:
    blocks = blocks_of(gathered)
    for block in blocks:
        yield from plots_of_block(block, names_of(blocks), PAPER)
    yield from plots_of_streams(gathered.streams, PAPER)
