"""The records of all runs as plain data for the page's browser: what was edited, asked and said, and the scores.

Texts stand once in a list and are named by their place, since models and editors say much the same. Which tokens were
right is known from the ids: the token that the model holds most probable against the one of the gold answer. The text
of each token is not kept in results.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mmke.report.aggregates import AGGREGATES
from mmke.report.page.gather import Gathered, ReadRun
from mmke.report.page.thumbnails import Thumbnails
from mmke.results.described import columns_of, kinds_of
from mmke.results.finished import FinishedRecord
from mmke.types import EditCase, Probe, ScoreRow, StoredAnswer


class Texts:
    """Texts, each once, named by their place."""

    def __init__(self) -> None:
        """Begin with none."""
        self.all: list[str] = []
        self._places: dict[str, int] = {}

    def add(self, text: str) -> int:
        """Return the place of a text."""
        place = self._places.setdefault(text, len(self.all))
        if place == len(self.all):
            self.all.append(text)
        return place


def records_data(gathered: Gathered, pictures: Thumbnails, *, most: int = 0) -> dict[str, Any]:
    """Return everything that the browser of records shows.

    Args:
        gathered: the runs.
        pictures: takes the pictures of the cases that are shown.
        most: so many cases of each benchmark; 0: all.
    """
    texts = Texts()
    cases: dict[tuple[str, str], int] = {}
    shown: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    runs, records = [], []
    left = 0
    for number, run in enumerate(gathered.runs):
        runs.append(_run(run))
        group = _group(run)
        for record in run.records:
            key = (group, record.case_id)
            if key not in cases and most and counts.get(group, 0) >= most:
                left += 1
                continue
            if key not in cases:
                counts[group] = counts.get(group, 0) + 1
                cases[key] = len(shown)
                shown.append(_case(run.cases[record.case_id], texts, pictures))
            records.append(_record(number, cases[key], record, texts, run))
    return {
        "runs": runs,
        "kinds": _kinds(gathered.runs),
        "columns": _columns(gathered.runs),
        "cases": shown,
        "records": records,
        "texts": texts.all,
        "pictures": pictures.made,
        "left": left,
        "sources": list(gathered.sources),
    }


def _group(run: ReadRun) -> str:
    """Return what cases are the same in: all editors on one benchmark's questions."""
    plain = run.run
    return "\0".join(str(plain.get(name)) for name in ("benchmark", "hop", "protocol", "data_revision", "probes"))


def _run(run: ReadRun) -> dict[str, Any]:
    plain = run.run
    names = ("backbone", "benchmark", "hop", "protocol", "editor", "seed")
    about = {name: plain[name] for name in names}
    schedule = plain.get("schedule") or "single"
    return about | {"source": run.source, "schedule": schedule, "order": plain.get("order_seed")}


def _kinds(runs: Sequence[ReadRun]) -> dict[str, Any]:
    kinds = {name: kind for run in runs for name, kind in kinds_of(run.run).items()}
    return {name: {"label": kind.label, "role": kind.role} for name, kind in kinds.items()}


def _columns(runs: Sequence[ReadRun]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for run in runs:
        kinds = kinds_of(run.run)
        for name, column in columns_of(run.run).items():
            label = kinds[name].label if name in kinds else name
            found[name] = {
                "label": label,
                "kind": column.kind,
                "unit": column.unit,
                "higher": column.higher_is_better,
                "headline": name in kinds and kinds[name].headline,
            }
    return found


def _case(case: EditCase, texts: Texts, pictures: Thumbnails) -> dict[str, Any]:
    return {
        "id": case.id,
        "edits": [
            {
                "q": texts.add(edit.query.text),
                "pic": pictures.add(edit.query.image),
                "to": texts.add(edit.target),
                "from": None if edit.original is None else texts.add(edit.original),
            }
            for edit in case.edits
        ],
        "probes": [_probe(probe, texts, pictures) for probe in case.probes],
        "unscored": {kind.name: texts.add(reason) for kind, reason in case.unscored.items()},
    }


def _probe(probe: Probe, texts: Texts, pictures: Thumbnails) -> dict[str, Any]:
    return {
        "kind": probe.kind.name,
        "q": texts.add(probe.query.text),
        "pic": pictures.add(probe.query.image),
        "gold": texts.add(probe.target),
        "tags": dict(probe.tags),
    }


def _record(number: int, case: int, record: FinishedRecord, texts: Texts, run: ReadRun) -> dict[str, Any]:
    answers: dict[StoredAnswer, int] = {}
    kept: list[dict[str, Any]] = []

    def place(answer: StoredAnswer | None) -> int | None:
        if answer is None:
            return None
        if answer not in answers:
            answers[answer] = len(kept)
            kept.append(_answer(answer, texts))
        return answers[answer]

    rows = [
        [
            row.probe,
            row.metric,
            row.value,
            row.floor,
            place(row.before),
            place(row.after),
            None if row.reason is None else texts.add(row.reason),
            _same(row),
        ]
        for row in _own(record.rows)
    ]
    found: dict[str, Any] = {"run": number, "case": case, "rows": rows, "answers": kept}
    if record.rows[0].position is not None or run.run.get("stream"):
        found |= {"edits": record.key.edits_applied, "position": record.rows[0].position}
    return found


def _own(rows: Sequence[ScoreRow]) -> Iterator[ScoreRow]:
    """Yield the rows of questions; aggregates are the tables' business."""
    yield from (row for row in rows if row.metric not in AGGREGATES)


def _same(row: ScoreRow) -> str | None:
    """Return token by token whether two models that locality compares said the same; None where that is not known."""
    if row.floor is not None or row.before is None or row.after is None or row.before.model == "floor":
        return None
    before, after = row.before.ids, row.after.ids
    if len(before) != len(after) or row.after.finished is not None:
        return None
    return "".join("1" if one == two else "0" for one, two in zip(before, after, strict=True))


def _answer(answer: StoredAnswer, texts: Texts) -> dict[str, Any]:
    found: dict[str, Any] = {"who": answer.model, "text": texts.add(answer.text)}
    if answer.image is not None:
        found["image"] = answer.image
    if answer.ask is None or answer.ask.decode == "generate":
        return found | ({"free": True} if answer.ask is not None else {})
    if answer.target_ids and len(answer.ids) == len(answer.target_ids):
        found["right"] = "".join(
            "1" if said == gold else "0" for said, gold in zip(answer.ids, answer.target_ids, strict=True)
        )
    if answer.ask.target == "unedited":
        found["fed"] = True
    return found
