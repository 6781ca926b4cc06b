"""Which probes are asked how: the metrics say what they need, equal needs are asked together."""

from collections.abc import Iterable, Mapping, Sequence

from mmke import registry
from mmke.errors import UserError
from mmke.protocols import Answerer, EditSession
from mmke.types import Answer, Ask, EditCase, Metric, Switches

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
        said = answerer.answer([case.probes[i] for i, _ in asked], [way for _, way in asked])
        if len(said) != len(asked):
            whose = f"{type(answerer).__module__}.{type(answerer).__qualname__}"
            raise UserError(
                f"{whose} gave {len(said)} answers to {len(asked)} questions; it owes one to each, in order"
            )
        answers |= zip(asked, said, strict=True)
    return answers


def _wanted(case: EditCase, metrics: Sequence[Metric]) -> list[int]:
    roles = {role for metric in metrics for role in metric.roles}
    return [i for i, probe in enumerate(case.probes) if probe.kind.role in roles]
