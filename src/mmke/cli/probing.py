"""`mmke run --edit`: ask the records of benchmarks of a model in which a saved edit is in force."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mmke.cli import options
from mmke.cli.progress import progress
from mmke.cli.words import command_line
from mmke.counting import counted
from mmke.errors import UserError
from mmke.running.request import Request
from mmke.threads import limit_threads

OUT = Path("results")


def probe(
    request: Request, edit: Sequence[Path], given: Mapping[str, object], *, threads: int | None, dry: bool
) -> int:
    """Run the probes, and show their table.

    Args:
        request: as `mmke run` read it.
        edit: folders of the edits in force.
        given: options that say how to edit, or who works, by name; None where they were not given.
        threads: of the processor.
        dry: stop before weights are read.

    Raises:
        UserError: an option that does not go with an edit, or whatever is wrong with the edit or the request.
    """
    stray = [name for name, value in given.items() if value]
    if stray:
        raise UserError(f"{stray[0]} does not go with --edit: the edit is made already, and one process asks")
    from mmke.edits.loading import stack
    from mmke.edits.probing import plan_probing
    from mmke.running.run import check_sites, run

    options.without_bars()
    options.check_data(request.benchmarks, request.data)
    checkpoint = next(iter(request.checkpoints.values()), None)
    stacked = stack(edit, checkpoint=checkpoint)
    on = stacked.edits[0].record.on
    named = request.backbone if request.backbone.startswith("hf:") else on.backbone
    # Rows of an edit in force stand beside those of no other edit.
    out = (
        OUT.with_name(f"results-{'+'.join(each.resolve().name for each in edit)}")
        if request.out == OUT
        else request.out
    )
    planned = plan_probing(replace(request, backbone=named, dtype=request.dtype or on.dtype, out=out), stacked)
    limit_threads(threads)
    if dry:
        check_sites(planned)
        print("names, settings, data, weights and edit sites resolve; nothing was run")
        return 0
    count = len(planned.cells[-1].schedule.edit.edits)  # type: ignore[attr-defined] # the last cell is the edit's
    print(f"{named} with {counted(count, 'edit')} of {stacked.editor.name} in force; none is the floor", flush=True)
    with progress(planned.records) as shown:
        folders = run(planned, command=command_line(), on_record=shown.step)
    from mmke.report.cells import read_cells
    from mmke.report.table import render

    print(render(read_cells(planned.request.out, only=folders), "text"))
    print(f"\nrows, settings and timings: {planned.request.out}/  (mmke table {planned.request.out})")
    return 0
