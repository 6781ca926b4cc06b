"""`mmke build`: make a benchmark, from things and pictures to verified records.

Each command opens the project, does its stage, and says what came of it and what to do next.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmke.cli import options
from mmke.cli.stages import stages
from mmke.counting import counted
from mmke.errors import UserError
from mmke.web import HOST

if TYPE_CHECKING:
    from mmke.build.protocols import Outcome
    from mmke.build.run import Made
    from mmke.build.settings import Settings

TOLD = 5
"""How many of the things that were left out are named."""

build = typer.Typer(
    help="Make a benchmark: collect things and pictures, write edits and questions, let people verify, export.",
    epilog="`mmke build new birds && mmke build run birds` makes records from pictures that come with mmke.",
)

Dir = Annotated[
    Path, typer.Argument(metavar="DIR", help="The project's folder (mmke build new makes one).", callback=options.home)
]
KindName = Literal["entity", "semantic", "user"]
FormatName = Literal["text", "json"]
Format = Annotated[FormatName, typer.Option("--format", help="json: for programs.", case_sensitive=False)]


@build.command("new")
def new(
    folder: Dir,
    kind: Annotated[KindName, typer.Option(help="Kind of knowledge.", case_sensitive=False)] = "entity",
    source: Annotated[
        str,
        typer.Option(
            metavar="S",
            help="Where things come from: a name (mmke ls sources).",
            autocompletion=options.names("sources"),
            callback=options.known("sources"),
        ),
    ] = "mini",
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the benchmark (default: the folder's).")] = None,
) -> int:
    """Start a project: write build.toml, in which every setting is explained."""
    from mmke.build.new import new as begin

    file = begin(folder, kind=kind, source=source, name=name)
    print(f"{file}: read it and change what you want; then mmke build run {folder}")
    return 0


@build.command("collect")
def collect(folder: Dir) -> int:
    """Collect things and pictures from the source."""
    return _stage(folder, "collect", then="write")


@build.command("write")
def write(
    folder: Dir,
    dry: Annotated[
        bool, typer.Option("--dry", help="Say how much there is to write, and what a language model would be sent.")
    ] = False,
) -> int:
    """Draw what each record edits, and write the descriptions."""
    if not dry:
        return _stage(folder, "write", then="ask")
    from mmke.build.project import open_project
    from mmke.build.write.stage import dry as estimate

    with open_project(folder, write=False) as project:
        print(estimate(project))
    return 0


@build.command("ask")
def ask(folder: Dir) -> int:
    """Write the questions, with their gold answers."""
    return _stage(folder, "ask", then="check")


@build.command("check")
def check(
    folder: Dir,
    form: Format = "text",
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            metavar="B",
            help="Also ask this unedited model what it knows already, and keep it as tags of the records.",
            autocompletion=options.names("backbones"),
            callback=options.known("backbones"),
        ),
    ] = None,
    device: options.Device = "cpu",
    weights: options.Weights = None,
) -> int:
    """Check every record against every rule. Nothing is repaired."""
    from mmke.build.project import open_project
    from mmke.build.records import records
    from mmke.build.rules.check import as_json, as_text
    from mmke.build.rules.check import check as look

    if backbone is not None:
        tagged = _tag(folder, backbone, device, weights)
        if form == "text":
            print(_told("tags", tagged, folder))
    with open_project(folder, write=False) as project:
        found = look(project, there := records(project))
    print(as_json(found) if form == "json" else as_text(found, records=len(there)))
    return 2 if found else 0


def _tag(folder: Path, backbone: str, device: str, weights: str | None) -> "Outcome":
    from mmke.build.project import open_project
    from mmke.build.records import records

    with open_project(folder) as project:
        there = records(project)  # what is wrong with the project is told before a model is loaded
        from mmke.build.tags.tag import tag
        from mmke.running.loading import load_backbone

        model = load_backbone(backbone, device=device, weights=weights)
        with stages({"tags": len(there)}) as shown:
            return tag(project, there, model, shown)


@build.command("verify")
def verify(
    folder: Dir,
    annotator: Annotated[str | None, typer.Option(metavar="NAME", help="Who decides (default: the page asks).")] = None,
    port: Annotated[int | None, options.port("0: a free one (default: its own).")] = None,
    host: Annotated[str, options.host("the page")] = HOST,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> int:
    """Let people accept, correct or reject each record, on a page in the browser."""
    from mmke.build.project import open_project
    from mmke.web.verify import serve

    with open_project(folder) as project:
        serve(project, annotator=annotator, port=port, host=host, open_browser=browser)
    return 0


@build.command("report")
def report(folder: Dir, form: Format = "text") -> int:
    """Report what people decided: rates by stage, rule and type, agreement, reasons, time."""
    from mmke.build.project import open_project
    from mmke.build.records import records
    from mmke.build.verdicts import report as told

    with open_project(folder, write=False) as project:
        print((told.report_json if form == "json" else told.report)(project, records(project)))
    return 0


@build.command("export")
def export(
    folder: Dir,
    to: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Where the benchmark is written to.", callback=options.home)
    ] = None,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Also records that nobody has decided on, if they pass the rules.")
    ] = False,
    names: Annotated[
        bool, typer.Option("--names", help="Keep the annotators' names and comments in the log of verdicts.")
    ] = False,
    hub: Annotated[
        str | None,
        typer.Option("--hub", metavar="ORG/NAME", help="Also show what would be sent to this data set on the hub."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --hub: send it.")] = False,
    private: Annotated[bool, typer.Option("--private", help="With --hub: make a new data set private.")] = False,
) -> int:
    """Write the accepted records in the published format, with splits, a card and the pictures' licences."""
    if to is None:
        raise UserError("mmke build export needs --to OUT, a folder for the benchmark")
    from mmke.build.export.export import export as write_out
    from mmke.build.project import open_project
    from mmke.build.run import put_refused

    with open_project(folder, write=False) as project:
        outcome = write_out(project, to, unverified=unverified, names=names)
    put_refused(folder, "export", outcome)
    print(_told("export", outcome, folder))
    if hub is not None:
        from mmke.build.export.hub import push

        print(f"hub: {push(to, hub, yes=yes, private=private)}")
    return 0


@build.command("run")
def run(folder: Dir) -> int:
    """Run the stages in their order, up to where people decide. What is there already is kept."""
    from mmke.build.project import open_project
    from mmke.build.run import run as make

    with open_project(folder) as project, stages(_expected(project.settings)) as shown:
        made = make(project, shown)
    for name, outcome in made.outcomes.items():
        print(_told(name, outcome, folder))
    print(_rules_say(made, folder))
    print(f"next: mmke build verify {folder}, or mmke build export {folder} --to OUT --unverified")
    return 2 if made.findings else 0


def _rules_say(made: "Made", folder: Path) -> str:
    if not made.findings:
        return f"check: {counted(made.records, 'record')}: the rules find nothing"
    records = len({finding.record for finding in made.findings})
    rules = Counter(finding.rule for finding in made.findings)
    told = ", ".join(f"{rule} ({count})" for rule, count in rules.most_common())
    where = f"mmke build check {folder} says where and why"
    return f"check: records with findings: {records} of {made.records}: {told}\n  {where}"


def _expected(settings: "Settings") -> Mapping[str, int]:
    return {"collect": 2 * settings.count, "write": settings.count, "ask": settings.count}


def _stage(folder: Path, name: str, *, then: str) -> int:
    from mmke.build.project import open_project
    from mmke.build.run import run_stage

    with open_project(folder) as project, stages({name: project.settings.count}) as shown:
        outcome = run_stage(project, name, shown)
    print(f"{_told(name, outcome, folder)}\nnext: mmke build {then} {folder}")
    return 0


def _told(name: str, outcome: "Outcome", folder: Path) -> str:
    from mmke.build.run import refused_file

    parts = [f"{outcome.made} new", f"{outcome.kept} kept"] + [f"{len(outcome.refused)} left out"] * bool(
        outcome.refused
    )
    lines = [f"{name}: {', '.join(parts)}"]
    lines += [f"  {id_}: {reason}" for id_, reason in list(outcome.refused.items())[:TOLD]]
    if len(outcome.refused) > TOLD:
        lines.append(f"  … and {len(outcome.refused) - TOLD} more, all of them in {refused_file(folder, name)}")
    return "\n".join(map(_printable, [*lines, *(f"  {note}" for note in outcome.notes)]))


def _printable(line: str) -> str:
    """Return a line without control characters, which a source's names may hold and a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
