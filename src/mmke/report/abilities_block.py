"""The table of what a model can do besides its edits, before and after them, as plain texts and as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mmke.abilities.figures import Figures, Judged, difference, figures
from mmke.abilities.question import Suite
from mmke.counting import counted
from mmke.report.blocks import ABSENT, TableBlock

Said = Mapping[str, Sequence[Judged]]
"""Answers to the questions of a suite, by who gave them, the unedited model first."""


def abilities_block(about: Mapping[str, Any], suite: Suite, said: Said) -> TableBlock:
    """Return the table of one suite: the unedited model, the edited one, and the difference.

    Args:
        about: the `backbone`, and how many `edits` are in force.
        suite: what was asked.
        said: by whom what.
    """
    lines = [(name, *_texts(figures(judged))) for name, judged in said.items()]
    if len(said) > 1:
        unedited, edited = said.values()
        lines.append(("difference", *_texts(difference(edited, unedited), signed=True)))
    edits = f", {counted(about['edits'], 'edit')} in force" if about["edits"] else ""
    return TableBlock(
        title=f"{about['backbone']}{edits}: {suite.name}, {counted(len(suite.questions), 'question')} of "
        f"{suite.available}",
        header=("model", "exact", "starts with", "words", "asked"),
        lines=tuple(lines),
        notes=tuple(_notes(suite)),
    )


def as_dict(suite: Suite, said: Said) -> dict[str, Any]:
    """Return the figures and every answer as plain data; shares are in [0, 1]."""
    return {
        "suite": suite.name,
        "revision": suite.revision,
        "available": suite.available,
        "left_out": suite.left_out,
        "figures": {name: shown(figures(judged)) for name, judged in said.items()},
        "answers": [
            {"id": question.id, "kind": question.kind, "question": question.query.text, "right": question.answer}
            | {name: judged[place].text for name, judged in said.items()}
            for place, question in enumerate(suite.questions)
        ],
    }


def shown(found: Figures) -> dict[str, Any]:
    """Return figures as plain data; null where nothing was asked."""
    return {name: value if found.count else None for name, value in asdict(found).items()} | {"count": found.count}


def _texts(found: Figures, *, signed: bool = False) -> tuple[str, ...]:
    if not found.count:
        return (ABSENT, ABSENT, ABSENT, "0")
    sign = "+" if signed else ""
    shares = [
        f"{100 * value:{sign}.1f} ±{100 * error:.1f}".replace("-", "−")
        for value, error in ((found.exact, found.exact_error), (found.starts, found.starts_error))
    ]
    return (*shares, f"{found.words:{sign}.1f}".replace("-", "−"), str(found.count))


def _notes(suite: Suite) -> list[str]:
    notes = ["per cent ± standard error over questions; words: mean length of an answer"]
    if suite.left_out:
        notes.append(
            f"{counted(suite.left_out, 'question')} left out: edits are about what they show, and should change "
            "the answers"
        )
    return notes


def tasks_block(about: Mapping[str, Any], found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> TableBlock:
    """Return the table of another tool's figures: a line for each task and metric.

    Args:
        about: see `abilities_block`.
        found: by model, task and metric.
    """
    unedited, *edited = found.values()
    lines = []
    for task, metrics in unedited.items():
        for metric, value in metrics.items():
            after = [each[task][metric] for each in edited]
            change = [f"{each - value:+.4g}".replace("-", "−") for each in after]
            lines.append((task, metric, *(f"{each:.4g}" for each in (value, *after)), *change))
    edits = f", {counted(about['edits'], 'edit')} in force" if about["edits"] else ""
    return TableBlock(
        title=f"{about['backbone']}{edits}: asked by lmms-eval",
        header=("task", "metric", *found, *["difference"] * len(edited)),
        lines=tuple(lines),
        notes=("as lmms-eval counts, in its own units",),
    )
