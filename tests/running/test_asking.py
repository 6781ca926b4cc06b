"""What is fed to a model: the gold answer, or what the unedited model writes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mmke.metrics.accuracy import Accuracy
from mmke.protocols import Answerer
from mmke.running.asking import SILENT, UNWRITTEN, ask, write
from mmke.running.scoring import unasked
from mmke.types import Answer, Ask, Asks, EditCase, Probe, ProbeKind, Query

NEAR = ProbeKind("near", "near", "hard locality")
REL = ProbeKind("i_rel", "I-Rel", "relation")
GOLD = Accuracy(Ask())
OWN = Accuracy(Ask(target="unedited"), name="own", roles=("hard locality",))


@dataclass
class Recorder:
    """Writes the words it is given by question, and notes every probe it is asked."""

    words: dict[str, str]
    asked: list[tuple[Probe, Ask]] = field(default_factory=list)

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        asks = [ask] * len(probes) if isinstance(ask, Ask) else ask
        self.asked += zip(probes, asks, strict=True)
        return [
            unasked("too long")
            if probe.query.text == "refused"
            else Answer(self.words.get(probe.query.text, ""), (1,), (), math.nan, np.zeros((0, 0), dtype=np.int64))
            for probe in probes
        ]


def case(*questions: str) -> EditCase:
    relation = Probe(REL, Query("relation"), "gold answer")
    return EditCase("c", (), (relation, *(Probe(NEAR, Query(text), "gold " * 40) for text in questions)))


def test_what_the_unedited_model_writes_is_fed_in_the_place_of_the_gold_answer() -> None:
    model = Recorder({"one": "red"})
    assert isinstance(model, Answerer)
    written = write(model, case("one"), [GOLD, OWN])
    assert written == {1: "red"}
    # A long gold answer does not lengthen what is written.
    assert [(probe.target, way.decode, way.max_new) for probe, way in model.asked] == [("", "generate", 16)]
    model.asked.clear()
    answers = ask(model, case("one"), [GOLD, OWN], written)
    assert {(probe.query.text, probe.target) for probe, _ in model.asked} == {
        ("relation", "gold answer"),
        ("one", "red"),
    }
    assert answers.keys() == {(0, GOLD.ask), (1, OWN.ask)}


def test_a_probe_to_which_the_unedited_model_writes_nothing_is_unscored() -> None:
    model = Recorder({"one": "red"})
    some = case("silent", "refused", "one")
    answers = ask(model, some, [OWN], write(model, some, [OWN]))
    assert [answers[i, OWN.ask].reason for i in (1, 2, 3)] == [SILENT, UNWRITTEN, None]


def test_nothing_is_written_where_no_metric_needs_it() -> None:
    model = Recorder({})
    assert write(model, case("one"), [GOLD]) == {}
    assert not model.asked
    with pytest.raises(ValueError, match="write"):
        ask(model, case("one"), [OWN])
