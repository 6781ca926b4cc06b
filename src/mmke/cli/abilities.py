"""`mmke abilities`: ask a model, before and after edits, what it could do already."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmke.abilities.lmms_task import TASK
from mmke.abilities.suites import DATA, LIMIT, NAMES
from mmke.cli import answering, options
from mmke.cli.progress import progress
from mmke.cli.run import checkpoints
from mmke.errors import UserError
from mmke.threads import limit_threads

if TYPE_CHECKING:
    from mmke.abilities.question import Suite
    from mmke.abilities.suites import Wanted
    from mmke.edits.answering import Answering

EDITS = "Edits that are made for this and not kept"
TOOL = "Another tool"


def abilities(
    edit: options.EditFolders = None,
    backbone: answering.Backbone = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"One of {', '.join(NAMES)}; can be repeated (default: all that are here).",
            autocompletion=lambda incomplete: [name for name in NAMES if name.startswith(incomplete)],
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder with your copies of POPE, MMBench and ScienceQA.",
            callback=options.home,
            rich_help_panel=options.WHAT,
        ),
    ] = DATA,
    questions: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Questions of each suite, a seeded sample; 0: all.",
            callback=options.number("--questions", 0),
            rich_help_panel=options.WHAT,
        ),
    ] = LIMIT,
    edits: Annotated[
        str | None,
        options.edits_file(EDITS),
    ] = None,
    editor: Annotated[
        str,
        options.one_editor(EDITS),
    ] = "ft-llm",
    limit: Annotated[
        int,
        options.first_edits(EDITS),
    ] = 0,
    assignments: options.OwnSettings = None,
    checkpoint: options.Checkpoints = None,
    pictures: options.PicturesFolder = None,
    seed: options.Seed = 0,
    tool: Annotated[
        Literal["lmms-eval"] | None,
        typer.Option("--with", help="Let this tool ask, in the same process.", rich_help_panel=TOOL),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Its tasks, joined by commas, such as pope,mme (default: {TASK}, the small models' own).",
            rich_help_panel=TOOL,
        ),
    ] = None,
    include: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with tasks of your own.", callback=options.home, rich_help_panel=TOOL),
    ] = None,
    form: Annotated[
        Literal["text", "markdown", "json"],
        typer.Option("--format", help="json: also every answer.", rich_help_panel=options.HOW),
    ] = "text",
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    weights: options.Weights = None,
) -> int:
    """Ask a model, before and after edits, questions that it could answer already.

    Which model: --edit FOLDER, or --edits FILE with --editor, or neither of them for the unedited model alone.
    """
    limit_threads(threads)
    if edit and edits is not None:
        raise UserError("--edit names edits that are kept, and --edits some that are made now; give one of them")
    from mmke.abilities.suites import Wanted, draw, parse_names

    named = _tasks(tool, tasks, include, suite)
    wanted = Wanted(parse_names(",".join(suite)) if suite else (), data, questions, seed)
    options.without_bars()
    if edits is None:
        model = answering.saved(
            edit,
            backbone=backbone,
            checkpoint=checkpoint,
            pictures=pictures,
            device=device,
            dtype=dtype,
            weights=weights,
        )
    else:
        model = _planned(
            edits,
            editor,
            backbone or answering.DEFAULT,
            limit=limit,
            assignments=assignments or [],
            checkpoint=checkpoint or [],
            device=device,
            dtype=dtype,
            weights=weights,
            seed=seed,
        )
    if named:
        return _with_lmms_eval(model, named, include, wanted, form)
    suites, missing = draw(wanted, model.edits)
    if missing is not None:
        print(f"mmke: {missing}", file=sys.stderr)
    model.check()
    limit_threads(threads)
    _ask_and_tell(model, suites, form)
    return 0


def _planned(
    edits: str,
    editor: str,
    backbone: str,
    *,
    limit: int,
    assignments: Sequence[str],
    checkpoint: Sequence[str],
    device: str,
    dtype: str | None,
    weights: str | None,
    seed: int,
) -> "Answering":
    """Return a model and the edits that will be made in it."""
    from mmke.cli.train import own_changes
    from mmke.edits.answering import Answering
    from mmke.edits.applying import plan
    from mmke.edits.given import read_given
    from mmke.edits.opening import Where
    from mmke.running.request import Request
    from mmke.types import STRICT

    request = Request(
        backbone=backbone,
        editors=(editor,),
        benchmarks=(),
        changes={editor: own_changes(editor, list(assignments), None)},
        checkpoints=checkpoints(list(checkpoint)),
        device=device,
        dtype=dtype,
        weights=options.weight_source(weights),
        seed=seed,
    )
    given = read_given(edits, switches=STRICT, data=None, limit=limit, batch=1)
    return Answering(Where(backbone=backbone), plan(request, editor, given, out=None))


def _ask_and_tell(model: "Answering", suites: Sequence["Suite"], form: str) -> None:
    """Ask the unedited model and the edited one, and print what came of it."""
    from mmke.report.abilities_block import abilities_block, as_dict
    from mmke.report.table import draw as drawn
    from mmke.report.table import json_text, rounded
    from mmke.running.abilities import answered

    total = sum(len(suite.questions) for suite in suites) * (1 if model.editor is None else 2)
    with model.open() as opened, progress(total) as shown:
        before = [answered(opened.backbone, suite, on_question=shown.step) for suite in suites]
        session = opened.session
        after = None if session is None else [answered(session, suite, on_question=shown.step) for suite in suites]
    names = ("unedited", model.editor or "")
    each = [
        (suite, dict(zip(names, [one] if after is None else [one, after[place]], strict=False)))
        for place, (suite, one) in enumerate(zip(suites, before, strict=True))
    ]
    about = {"backbone": model.backbone, "editor": model.editor, "edits": len(model.edits)}
    if form == "json":
        print(json_text(rounded(about | {"suites": [as_dict(suite, said) for suite, said in each]})))
    else:
        print(drawn([abilities_block(about, suite, said) for suite, said in each], form))


def _tasks(tool: str | None, tasks: str | None, include: Path | None, suite: Sequence[str] | None) -> tuple[str, ...]:
    """Return the tasks of another tool that are asked; none where mmke asks by itself.

    Raises:
        UserError: options that do not go together, or a tool that is not installed.
    """
    if tool is None:
        if tasks is not None or include is not None:
            raise UserError(f"{'--tasks' if tasks else '--include'} is for another tool; add --with lmms-eval")
        return ()
    if suite:
        raise UserError(f"--suite {suite[0]}: with lmms-eval name its tasks, with --tasks")
    if include is not None and not include.is_dir():
        raise UserError(f"--include {include}: there is no such folder")
    from mmke.running.lmms_eval import check_installed

    check_installed()
    return tuple(dict.fromkeys(name.strip() for name in (tasks or TASK).split(",") if name.strip())) or (TASK,)


def _with_lmms_eval(model: "Answering", tasks: Sequence[str], include: Path | None, wanted: "Wanted", form: str) -> int:
    """Let lmms-eval ask the unedited model and the edited one, and print what came of it."""
    from dataclasses import replace

    from mmke.abilities.suites import draw
    from mmke.report.abilities_block import tasks_block
    from mmke.report.table import draw as drawn
    from mmke.report.table import json_text, rounded
    from mmke.running.lmms_eval import evaluate

    suites, _ = draw(replace(wanted, names=("held-out",)), model.edits)
    suite = suites[0] if TASK in tasks else None
    model.check()
    with model.open() as opened:
        answerers = {"unedited": opened.backbone} | ({} if opened.session is None else {model.editor: opened.session})
        found = {
            str(name): evaluate(each, tasks, limit=wanted.limit, include=include, suite=suite)
            for name, each in answerers.items()
        }
    about = {"backbone": model.backbone, "editor": model.editor, "edits": len(model.edits)}
    print(json_text(rounded(about | {"tasks": found})) if form == "json" else drawn([tasks_block(about, found)], form))
    return 0
