"""Score the kept answers of a results folder again, without a model: with changed metrics, or with further ones.

In: a folder that holds runs. Out: their `rows.jsonl` and `run.json`, written anew; `answers.jsonl` and `cases.jsonl`
stay as they are. What needs more of an answer than is kept stays as it was scored, and is named.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmke import registry
from mmke.errors import UserError
from mmke.lines import write_at_once
from mmke.results.answers import ProbeAnswer
from mmke.results.described import describe_columns, describe_metrics, kinds_of
from mmke.results.finished import ROWS, FinishedRecord, read_answers, read_cases, read_finished
from mmke.results.locks import locked
from mmke.results.rows import EMPTY, UNENDED, row_line
from mmke.results.run_json import RUN, SCHEMA, read_run, save_run
from mmke.running.metrics import check_columns, make_metrics
from mmke.running.scoring import Answers, CaseAnswers, Floor, When, make_rows, unasked
from mmke.types import Answer, Ask, EditCase, Metric, ScoreRow, StoredAnswer, Switches

FLOOR = "none"
EDITED = "edited"


@dataclass(frozen=True)
class Rescored:
    """What became of one run.

    Attributes:
        folder: the run's.
        metrics: names of those that were scored again, with how many rows.
        kept_out: names of those that could not be, with the reason.
    """

    folder: Path
    metrics: Mapping[str, int]
    kept_out: Mapping[str, str]


def rescore(out: Path, names: Sequence[str] = ()) -> Iterator[Rescored]:
    """Score every run below a folder again, one after the other.

    Args:
        out: a results folder, or any folder inside one.
        names: registered metrics; none: all that the run was scored with.

    Raises:
        UserError: no run there, an unknown metric, a broken file, or a run that is being written.
    """
    folders = sorted(file.parent for file in out.rglob(RUN))
    if not folders:
        raise UserError(f"no results below {out}; name the --out of a run")
    for folder in folders:
        with locked(folder):
            yield _rescore(folder, names)


def _rescore(folder: Path, names: Sequence[str]) -> Rescored:
    run = read_run(folder)
    if run is None or run["schema"] < SCHEMA:
        return Rescored(folder, {}, {"every metric": "the first results format keeps too little of an answer"})
    kinds = kinds_of(run).values()
    metrics = _metrics(run, names)
    check_columns(metrics, kinds)
    cases, answers = read_cases(folder), read_answers(folder)
    records = [
        _Record(record, cases[record.case_id].case, answers[record.key], is_floor=run["editor"] == FLOOR)
        for record in read_finished(folder, answers=True)
    ]
    kept_out = {
        name: "it is not registered here" for name in run["metrics"] if not names and name not in _names(metrics)
    }
    kept_out |= {
        metric.name: reason
        for metric in metrics
        if (reason := next((why for record in records if (why := record.lacks(metric))), None))
    }
    scored = [metric for metric in metrics if metric.name not in kept_out]
    counts = dict.fromkeys(_names(scored), 0)
    lines = [line for record in records for line in record.lines(scored, counts)]
    write_at_once(folder / ROWS, b"".join(lines))
    described = {
        "metrics": run["metrics"] | describe_metrics(scored),
        "columns": run["columns"] | describe_columns(scored, kinds),
    }
    save_run(folder, run | described)
    return Rescored(folder, counts, kept_out)


def _metrics(run: Mapping[str, Any], names: Sequence[str]) -> list[Metric]:
    """Return the metrics that were named, or else those that the run was scored with."""
    known = {each.name for each in fields(Switches)}
    switches = Switches(**{key: value for key, value in run["switches"].items() if key in known})
    made = make_metrics(switches, names=names or tuple(registry.names("metrics")))
    return [metric for metric in made if names or metric.name in run["metrics"]]


def _names(metrics: Sequence[Metric]) -> list[str]:
    return [metric.name for metric in metrics]


@dataclass(frozen=True)
class _Record:
    """One finished record with all its answers."""

    finished: FinishedRecord
    case: EditCase
    answers: tuple[ProbeAnswer, ...]
    is_floor: bool

    def lacks(self, metric: Metric) -> str | None:
        """Return why a metric cannot be scored of what is kept; None when it can."""
        models = [EDITED, *([metric.reference] if metric.reference else [] if self.is_floor else ["floor"])]
        refused = self.refused(metric)
        asked = [i for i in self.probes(metric) if i not in refused]
        if all(self.find(i, model, metric.ask) is not None for i in asked for model in models):
            return None
        if metric.ask.logprobs:
            return "it needs the probabilities of the whole vocabulary, which are not kept"
        if metric.ask.positions == "all":
            return "it needs the rankings at all positions, which are not kept"
        return f"the run did not ask in its way; run again with --metric {metric.name} into another folder"

    @property
    def when(self) -> When:
        """In which state of the model it was asked."""
        key = self.finished.key
        return When(key.edits_applied, key.schedule, key.order_seed, self.finished.rows[0].position)

    def probes(self, metric: Metric) -> list[int]:
        """Return the probes that a metric scores, by index."""
        return [i for i, probe in enumerate(self.case.probes) if probe.kind.role in metric.roles]

    def refused(self, metric: Metric) -> dict[int, str]:
        """Return the probes that could not be asked as a metric asks, with the reason.

        A metric that comes new is refused what all others were.
        """
        found = {}
        for i in self.probes(metric):
            rows = [row for row in self.finished.rows if row.probe == i]
            own = [row for row in rows if row.metric == metric.column(self.case.probes[i].kind)] or rows
            if own and all(row.after is None for row in own):
                found[i] = own[0].reason or ""
        return found

    def find(self, probe: int, model: str, ask: Ask) -> StoredAnswer | None:
        """Return a kept answer that serves where `ask` would have been asked."""
        return next(
            (answer for i, answer in self.answers if (i, answer.model) == (probe, model) and _serves(answer, ask)), None
        )

    def lines(self, metrics: Sequence[Metric], counts: dict[str, int]) -> list[bytes]:
        """Return the record's rows with these metrics scored anew; `counts` takes up how many rows each has."""
        new: dict[tuple[int | None, str], ScoreRow] = {}
        for metric in metrics:
            rows = self._scored(metric)
            counts[metric.name] += len(rows)
            new |= {(row.probe, row.metric): row for row in rows}
        old = {(row.probe, row.metric): row for row in self.finished.rows}
        rows = sorted((old | new).values(), key=lambda row: (row.probe is None, row.probe or 0))
        indices = {answer: index for index, answer in enumerate(self.answers)}

        def index_of(row: ScoreRow, answer: StoredAnswer | None) -> int | None:
            return None if answer is None or row.probe is None else indices[row.probe, answer]

        return [
            row_line(row, rows=len(rows), before=index_of(row, row.before), after=index_of(row, row.after))
            for row in rows
        ]

    def _scored(self, metric: Metric) -> list[ScoreRow]:
        refused = self.refused(metric)
        asked = [i for i in self.probes(metric) if i not in refused]
        references: dict[str, Answers] = {}
        if metric.reference is not None:
            references[metric.reference] = self._answers(metric, metric.reference)
        answers = CaseAnswers(references, self._answers(metric, EDITED))
        floor = None
        if not self.is_floor and metric.reference is None:
            unedited = CaseAnswers({}, self._answers(metric, "floor"))
            rows = make_rows(self.case, [metric], unedited, floor=None, when=When(0))
            floor = Floor({(row.case_id, row.probe, row.metric): row for row in rows})
        rows = make_rows(self.case, [metric], answers, floor=floor, when=self.when)
        # The kept answers themselves, which may hold more than this metric asks for.
        before = metric.reference or "floor"
        kept = {(i, model): self.find(i, model, metric.ask) for i in asked for model in (EDITED, before)}
        return [self._with_kept(row, kept, before) for row in rows]

    def _with_kept(self, row: ScoreRow, kept: Mapping[tuple[int, str], StoredAnswer | None], before: str) -> ScoreRow:
        old = next((each for each in self.finished.rows if (each.probe, each.metric) == (row.probe, row.metric)), None)
        changes: dict[str, Any] = {}
        if row.probe is not None and (row.probe, EDITED) in kept:
            changes |= {"after": kept[row.probe, EDITED], "before": kept[row.probe, before]}
        return replace(row, more={} if old is None else old.more, **changes)

    def _answers(self, metric: Metric, model: str) -> Answers:
        refused = self.refused(metric)
        found = {(i, metric.ask): unasked(reason) for i, reason in refused.items()}
        for i in self.probes(metric):
            answer = None if i in refused else self.find(i, model, metric.ask)
            if answer is not None:
                found[i, metric.ask] = _answer(answer, self._notes(i, answer))
        return found

    def _notes(self, probe: int, answer: StoredAnswer) -> dict[str, int]:
        """Return the editor's notes on an answer, from the rows that it has already."""
        rows = (row for row in self.finished.rows if row.probe == probe and row.after == answer)
        return {key: value for row in rows for key, value in row.notes.items() if key not in (EMPTY, UNENDED)}


def _serves(answer: StoredAnswer, ask: Ask) -> bool:
    """Tell whether a kept answer has all that `ask` wants."""
    if answer.ask is None or ask.logprobs or ask.positions == "all":
        return False
    alike = replace(answer.ask, top=ask.top, positions=ask.positions) == ask
    return alike and (ask.decode == "generate" or ask.top <= max(1, answer.ranks))


def _answer(answer: StoredAnswer, notes: Mapping[str, int]) -> Answer:
    ranked = answer.top_ids or tuple((token,) for token in answer.ids)
    return Answer(
        text=answer.text,
        token_ids=answer.ids,
        target_ids=answer.target_ids,
        target_logprob=math.nan if answer.target_logprob is None else answer.target_logprob,
        top_ids=np.array(ranked, dtype=np.int64).reshape(len(ranked), -1),
        notes=notes,
        finished=answer.finished,
    )
