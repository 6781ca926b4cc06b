"""`mmke ask`: ask a model before and after an edit."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mmke.cli import options
from mmke.cli.edit import check_edits_named
from mmke.errors import UserError
from mmke.threads import limit_threads


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="In the model's language, without its prompt.")],
    edit: options.EditFolders = None,
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The picture it is about.", callback=options.home, rich_help_panel=options.WHAT
        ),
    ] = None,
    most: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Tokens of an answer at most.",
            callback=options.number("--most", 1),
            rich_help_panel=options.HOW,
        ),
    ] = 40,
    plain: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=options.HOW)] = False,
    pictures: options.PicturesFolder = None,
    checkpoint: options.EditCheckpoint = None,
    backbone: options.EditBackbone = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    weights: options.Weights = None,
) -> int:
    """Ask a model before and after an edit: a question, about a picture or without one.

    Several --edit stand on top of each other in their order.
    """
    limit_threads(threads)
    folders = check_edits_named(edit)
    if not question.strip():
        raise UserError("the question is empty; write one")
    from mmke.benchmarks.plain import picture_at

    picture = None if image is None else picture_at(image, "--image")
    from mmke.edits.loading import stack
    from mmke.edits.opening import Where, check_question, in_force, skeleton_of
    from mmke.edits.telling import shown
    from mmke.types import ASKED, Ask, Probe, Query

    options.without_bars()
    stacked = stack(folders, pictures=pictures, checkpoint=checkpoint)
    where = Where(device, dtype, options.weight_source(weights), backbone)
    query = Query(question.strip(), picture)
    check_question(skeleton_of(stacked, where), query)
    limit_threads(threads)
    writing = Ask(decode="generate", max_new=most)
    probes = [Probe(ASKED, query, "")]
    with in_force(stacked, where) as (model, session):
        (before,), (after,) = model.answer(probes, writing), session.answer(probes, writing)
    if plain:
        print(json.dumps({"question": query.text, "before": before.text, "after": after.text}, ensure_ascii=False))
    else:
        print(f"before: {shown(before.text, 4_000)}\nafter:  {shown(after.text, 4_000)}")
    return 0
