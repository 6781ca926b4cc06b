"""Which probes are asked how: the metrics say what they need, equal needs are asked together."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mmke.errors import CannotAskError, UserError
from mmke.protocols import Answerer, EditSession
from mmke.running.scoring import Answers, unasked
from mmke.types import Answer, Ask, EditCase, Metric, Probe


def ask(answerer: Answerer | EditSession, case: EditCase, metrics: Iterable[Metric]) -> Answers:
    """Ask a record's probes in all the ways that the metrics want: in one call those with the gold answer given."""
    metrics = list(metrics)
    answers: dict[tuple[int, Ask], Answer] = {}
    serving = _serving(metrics)
    ways = dict.fromkeys(serving.values())
    for decode in dict.fromkeys(way.decode for way in ways):
        asked = [
            (i, way)
            for way in ways
            if way.decode == decode
            for i in _wanted(case, [metric for metric in metrics if serving[metric.ask] == way])
        ]
        said = _answers(answerer, [case.probes[i] for i, _ in asked], [way for _, way in asked])
        answers |= zip(asked, said, strict=True)
    return {(i, way): said for (i, other), said in answers.items() for way in serving if serving[way] == other}


def _serving(metrics: Iterable[Metric]) -> dict[Ask, Ask]:
    """Return for each way to ask the one that serves it: an answer with log-probabilities serves those without too."""
    ways = dict.fromkeys(metric.ask for metric in metrics)
    return {way: full if (full := replace(way, logprobs=True)) in ways else way for way in ways}


def not_asked(case: EditCase, metrics: Iterable[Metric], reason: str) -> Answers:
    """Return what stands for a record's answers where nothing could be asked."""
    return {(i, metric.ask): unasked(reason) for metric in metrics for i in _wanted(case, [metric])}


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
