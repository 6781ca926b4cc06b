"""The stages in their order, up to where people decide; and what each of them left out, written down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmke.build.ask.stage import ask
from mmke.build.collect.stage import collect
from mmke.build.project import Project
from mmke.build.protocols import Finding, Outcome, Shown
from mmke.build.records import records
from mmke.build.rules.check import check
from mmke.build.write.stage import made_writer, write
from mmke.errors import UserError
from mmke.lines import to_line, write_at_once

STAGES: Mapping[str, Callable[[Project, Shown], Outcome]] = {"collect": collect, "write": write, "ask": ask}


@dataclass(frozen=True, slots=True)
class Made:
    """What a run of all stages did: each stage's outcome, the number of records, and what the rules say of them."""

    outcomes: Mapping[str, Outcome]
    records: int
    findings: tuple[Finding, ...]


def run(project: Project, shown: Shown) -> Made:
    """Collect, write, ask and check.

    Raises:
        UserError: a stage cannot begin, or leaves nothing for the next one.
    """
    made_writer(project)  # what is wrong with its settings is told before minutes are spent on collecting
    outcomes = {name: run_stage(project, name, shown) for name in STAGES}
    made = records(project)
    return Made(outcomes, len(made), tuple(check(project, made)))


def run_stage(project: Project, name: str, shown: Shown) -> Outcome:
    """Run one stage, and write down what it left out in `<stage>.refused.jsonl`.

    Raises:
        UserError: it cannot begin, or everything was refused.
    """
    outcome = STAGES[name](project, shown)
    file = put_refused(project.folder, name, outcome)
    if not outcome.made + outcome.kept:
        reasons = [f"{id_}: {reason}" for id_, reason in outcome.refused.items()] or ["there is nothing to work on"]
        told = f"; all {len(outcome.refused)} reasons are in {file}" if len(outcome.refused) > 1 else ""
        raise UserError(f"{project.folder}: {name} made nothing: {reasons[0]}{told}")
    return outcome


def put_refused(folder: Path, name: str, outcome: Outcome) -> Path:
    """Write down what a stage left out in its file, and return the file's path.

    Where nothing was left out, there is no such file.
    """
    file = refused_file(folder, name)
    lines = b"".join(to_line({"id": id_, "reason": reason}) for id_, reason in sorted(outcome.refused.items()))
    if lines:
        write_at_once(file, lines)
    else:
        file.unlink(missing_ok=True)
    return file


def refused_file(folder: Path, name: str) -> Path:
    """Return the path of the file that lists what a stage left out."""
    return folder / f"{name}.refused.jsonl"
