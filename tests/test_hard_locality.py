"""Oracles of hard locality, from records to the figures of a table, with models whose answers are known."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.probes.hard import KINDS, RI_PICTURE, with_hard_probes
from mmke.benchmarks.probes.partners import find_partners
from mmke.report.aggregates import with_aggregates
from mmke.report.figures import Figure, Scale, figures
from mmke.results.described import Column
from mmke.results.finished import FinishedRecord
from mmke.results.rows import RecordKey
from mmke.running.asking import ask, write
from mmke.running.metrics import make_metrics
from mmke.running.scoring import CaseAnswers, Floor, When, make_rows
from mmke.types import PROTOCOLS, STRICT, Answer, Ask, Asks, EditCase, Probe, Query, ScoreRow, Switches

WORDS = 7
"""Words that the models know."""
GARBAGE, NEVER = -1, -2

Gold = dict[tuple[str, Query], set[str]]
Say = Callable[[Probe, Sequence[int]], list[int]]
"""From a probe and the tokens that are fed to the most probable tokens."""


def token(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % WORDS


def tokens(text: str) -> list[int]:
    return [token(word) for word in text.split()]


def unedited(probe: Probe, fed: Sequence[int]) -> list[int]:
    """Return what a fixed model finds most probable; it is right by chance."""
    image = probe.query.image and probe.query.image.sha256
    return [token(f"{probe.query.text} {image} {place}") for place in range(len(fed))]


def garbage(probe: Probe, fed: Sequence[int]) -> list[int]:
    return [GARBAGE] * len(fed)


@dataclass(frozen=True)
class Target:
    """Says the gold answer of every question when it is fed that; with a gate, where the edit is asked about alone.

    Two records with the same partner ask one question with two gold answers.
    """

    gold: Gold
    gate: bool = False

    def __call__(self, probe: Probe, fed: Sequence[int]) -> list[int]:
        if self.gate and probe.kind.role not in ("recall", "relation"):
            return unedited(probe, fed)
        gold = [tokens(text) for text in self.gold[probe.kind.name, probe.query]]
        return list(fed) if list(fed) in gold else [NEVER] * len(fed)


@dataclass(frozen=True)
class Model:
    """A model of which is known what it finds most probable."""

    say: Say

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        asks = [ask] * len(probes) if isinstance(ask, Ask) else ask
        return [self._answer(probe, way) for probe, way in zip(probes, asks, strict=True)]

    def _answer(self, probe: Probe, way: Ask) -> Answer:
        if way.decode == "generate":
            return Answer(" ".join(f"w{i}" for i in range(4)), (), (), math.nan, np.zeros((0, 0), dtype=np.int64))
        fed = tokens(probe.target)
        said = self.say(probe, fed)
        ranked = np.array([[each] * way.top for each in said], dtype=np.int64)
        logprobs = np.zeros((len(fed), 2), dtype=np.float32) if way.logprobs else None
        return Answer("", tuple(said), tuple(fed), -1.0, ranked, logprobs)


@pytest.fixture(scope="module")
def cases() -> tuple[EditCase, ...]:
    read = open_benchmark("mini-user", data=None).load("eval", hop=1, switches=STRICT).cases
    return with_hard_probes(read, find_partners(read, read, lambda texts: np.ones((len(texts), 1))), published=True)


@pytest.fixture(scope="module")
def gold(cases: Sequence[EditCase]) -> Gold:
    found: Gold = defaultdict(set)
    for case in cases:
        for probe in case.probes:
            found[probe.kind.name, probe.query].add(probe.target)
    return found


def rows(cases: Sequence[EditCase], say: Say, switches: Switches, floor: Floor | None) -> list[list[ScoreRow]]:
    metrics = [metric for metric in make_metrics(switches, kinds=KINDS) if not metric.ask.logprobs]
    made = []
    for case in cases:
        written = write(Model(unedited), case, metrics)
        base = ask(Model(unedited), case, [metric for metric in metrics if metric.reference], written)
        after = ask(Model(say), case, metrics, written)
        made.append(make_rows(case, metrics, CaseAnswers({"base": base}, after), floor=floor, when=When(1)))
    return made


@pytest.fixture(params=PROTOCOLS)
def scored(request: pytest.FixtureRequest, cases: Sequence[EditCase]) -> Callable[[Say], dict[str, Figure]]:
    """Return the figures of a model beside the unedited one."""
    switches = PROTOCOLS[request.param]
    unchanged = rows(cases, unedited, switches, None)
    floor = Floor({(row.case_id, row.probe, row.metric): row for some in unchanged for row in some})

    def score(say: Say) -> dict[str, Figure]:
        kinds = {probe.kind.name: probe.kind for case in cases for probe in case.probes}
        records = [
            FinishedRecord(RecordKey(some[0].case_id, "single", 1, None), tuple(some), None)
            for some in rows(cases, say, switches, floor)
        ]
        scale = Scale(kinds, {name: Column("agree", name, "per cent", higher_is_better=True) for name in kinds})
        return figures([record.rows for record in with_aggregates(records, kinds)], scale)

    return score


Scored = Callable[[Say], dict[str, Figure]]


def values(found: dict[str, Figure], suffix: str) -> list[float]:
    return [value for kind in KINDS if (value := found[f"{kind.name}{suffix}"].value) is not None]


def test_an_editor_that_does_nothing(scored: Scored, cases: Sequence[EditCase]) -> None:
    found = scored(unedited)
    assert found["hard_loc"].value == 100.0
    assert values(found, "") == [100.0] * len(KINDS)
    assert values(found, "_leak") == [0.0] * len(KINDS)
    wrong = []
    for case in cases:
        (probe,) = [probe for probe in case.probes if probe.kind == RI_PICTURE] or [None]
        if probe is not None:
            gold = tokens(probe.target)
            said = unedited(probe, gold)
            wrong.append(sum(one != other for one, other in zip(said, gold, strict=True)) / len(gold))
    assert found["ri_picture_devqa"].value == pytest.approx(100 * sum(wrong) / len(wrong))


def test_an_editor_that_always_says_the_target(scored: Scored, gold: Gold) -> None:
    found, floor = scored(Target(gold)), scored(unedited)
    assert found["hard_loc"].value == 0.0
    assert values(found, "_devqa") == [0.0] * len(KINDS)
    # leak = 1 − the unedited model's accuracy, which is what De-VQA's score of the unedited model is.
    assert values(found, "_leak") == pytest.approx(values(floor, "_devqa"))


def test_an_editor_that_says_garbage_is_flattered_by_devqa_alone(scored: Scored) -> None:
    found, floor = scored(garbage), scored(unedited)
    assert found["hard_loc"].value == 0.0
    assert values(found, "_devqa") == [100.0] * len(KINDS)
    assert values(found, "_leak") == pytest.approx([value - 100 for value in values(floor, "_devqa")])


def test_an_editor_that_speaks_in_scope_alone(scored: Scored, gold: Gold) -> None:
    found = scored(Target(gold, gate=True))
    assert found["hard_loc"].value == found["t_loc"].value == found["i_loc"].value == 100.0
    assert found["i_rel"].value == found["t_rel"].value == 100.0
