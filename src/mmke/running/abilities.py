"""Ask a model the questions of abilities: it writes by itself, and what it writes is compared with what is right.

In: a backbone or a session, and a suite. Out: what was said to each question, judged.
"""

from collections.abc import Callable

from mmke.abilities.figures import Judged, judge
from mmke.abilities.question import Suite
from mmke.protocols import Answerer, EditSession, TakesOwnEdits
from mmke.results.abilities import AbilityRecord, AnswerRecord
from mmke.running.asking import answers_of
from mmke.types import Ask, Probe, ProbeKind

KIND = ProbeKind("ability", "Ability", "locality")
WRITING = Ask(decode="generate", max_new=16)
"""Answers are short; one that goes on is cut, and its length tells that it does."""
TOGETHER = 16
"""Questions that are asked in one call."""


def answered(
    answerer: Answerer | EditSession, suite: Suite, *, on_question: Callable[[], None] = lambda: None
) -> list[Judged]:
    """Return what a model says to every question of a suite, in their order.

    Asked is as users ask: question and picture alone, so that an editor's gate or memory decides by itself.
    """
    if isinstance(answerer, TakesOwnEdits):
        answerer.take_own_edits(())  # the questions belong to no edit
    found: list[Judged] = []
    for begin in range(0, len(suite.questions), TOGETHER):
        asked = suite.questions[begin : begin + TOGETHER]
        probes = [Probe(KIND, each.query, "") for each in asked]
        given = answers_of(answerer, probes, [WRITING] * len(probes))
        found += [
            judge(question, None if answer.reason is not None else answer.text)
            for question, answer in zip(asked, given, strict=True)
        ]
        for _ in asked:
            on_question()
    return found


def ability_record(
    answerer: Answerer | EditSession, suite: Suite, *, step: int | None, edits_applied: int
) -> AbilityRecord:
    """Ask a suite in one state of a stream, and return what is written of it."""
    return AbilityRecord(
        edits_applied=edits_applied,
        step=step,
        suite=suite.name,
        revision=suite.revision,
        available=suite.available,
        left_out=suite.left_out,
        answers=tuple(
            AnswerRecord(id=each.id, text=each.text, exact=each.exact, starts=each.starts)
            for each in answered(answerer, suite)
        ),
    )
