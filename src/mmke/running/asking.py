"""Which probes are asked how: the metrics say what they need, equal needs are asked together."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mmke import registry
from mmke.errors import CannotAskError, UserError
from mmke.protocols import Answerer, EditSession
from mmke.types import Answer, Ask, EditCase, Metric, Probe, Switches

Answers = Mapping[tuple[int, Ask], Answer]
"""Answers by the probe's index in its record and the way it was asked."""


def make_metrics(switches: Switches, *, generate: bool) -> list[Metric]:
    """Return every registered metric; those on free decoding only when `generate` is set."""
    made = [metric for name in registry.names("metrics") for metric in registry.factory("metrics", name)(switches)]
    return [metric for metric in made if generate or metric.ask.decode == "loglikelihood"]


def ask(answerer: Answerer | EditSession, case: EditCase, metrics: Iterable[Metric]) -> Answers:
    """Ask a record's probes in all the ways that the metrics want: in one call those with the gold answer given."""
    metrics = list(metrics)
    answers: dict[tuple[int, Ask], Answer] = {}
    ways = dict.fromkeys(metric.ask for metric in metrics)
    for decode in dict.fromkeys(way.decode for way in ways):
        asked = [
            (i, way)
            for way in ways
            if way.decode == decode
            for i in _wanted(case, [metric for metric in metrics if metric.ask == way])
        ]
        said = _answers(answerer, [case.probes[i] for i, _ in asked], [way for _, way in asked])
        answers |= zip(asked, said, strict=True)
    return answers


def not_asked(case: EditCase, metrics: Iterable[Metric], reason: str) -> Answers:
    """Return what stands for a record's answers where nothing could be asked."""
    return {(i, metric.ask): unasked(reason) for metric in metrics for i in _wanted(case, [metric])}


def unasked(reason: str) -> Answer:
    """Return what stands for an answer to a probe that could not be asked."""
    return Answer("", (), (), math.nan, np.zeros((0, 0), dtype=np.int64), reason=reason)


def _answers(answerer: Answerer | EditSession, probes: Sequence[Probe], ways: Sequence[Ask]) -> list[Answer]:
    """Ask probes together; where one cannot be asked, the others still are, together as well."""
    try:
        return _heard(answerer, probes, ways)
    except CannotAskError:
        reasons = [_refusal(answerer, *asked) for asked in zip(probes, ways, strict=True)]
        if not any(reasons):
            raise
    among = [i for i, reason in enumerate(reasons) if reason is None]
    said = iter(_heard(answerer, [probes[i] for i in among], [ways[i] for i in among]) if among else [])
    return [next(said) if reason is None else unasked(reason) for reason in reasons]


def _heard(answerer: Answerer | EditSession, probes: Sequence[Probe], ways: Sequence[Ask]) -> list[Answer]:
    said = answerer.answer(probes, ways)
    if len(said) != len(probes):
        whose = f"{type(answerer).__module__}.{type(answerer).__qualname__}"
        raise UserError(f"{whose} gave {len(said)} answers to {len(probes)} questions; it owes one to each, in order")
    return said


def _refusal(answerer: Answerer | EditSession, probe: Probe, way: Ask) -> str | None:
    """Return why a probe cannot be asked even alone; None where it can."""
    try:
        answerer.answer([probe], [way])
    except CannotAskError as error:
        return str(error)
    return None


def _wanted(case: EditCase, metrics: Sequence[Metric]) -> list[int]:
    roles = {role for metric in metrics for role in metric.roles}
    return [i for i, probe in enumerate(case.probes) if probe.kind.role in roles]
