"""Ask a record's probes in every way that the metrics need.

In: whatever answers (a backbone, or a session that edits it), a record, metrics. Out: the answers by probe and way of
asking. Metrics that need the same way share one answer, and all probes of one way are asked in one call.

Some metrics feed both models what the unedited model writes (`Ask.target`): `write` asks for it before the edit, `ask`
takes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mmke.errors import CannotAskError, UserError
from mmke.protocols import Answerer, EditSession
from mmke.running.scoring import Answers, unasked
from mmke.types import Answer, Ask, EditCase, Metric, Probe

SILENT = "the unedited model writes nothing that could be compared"
UNWRITTEN = "the unedited model cannot be asked this"


def write(unedited: Answerer | EditSession, case: EditCase, metrics: Iterable[Metric]) -> dict[int, str]:
    """Return by probe index what the unedited model writes where a metric feeds that to both models.

    Probes that cannot be asked are left out. Nothing is asked where no metric needs it.
    """
    metrics = [metric for metric in metrics if metric.ask.target == "unedited"]
    longest = {metric.ask.max_new for metric in metrics}
    if len(longest) > 1:
        raise ValueError(f"metrics want the unedited model's answers of different lengths: {sorted(longest)}")
    wanted = _wanted(case, metrics)
    if not wanted:
        return {}
    # Without a gold answer, so that a long one does not lengthen what is written.
    probes = [replace(case.probes[i], target="") for i in wanted]
    given = answers_of(unedited, probes, [Ask(decode="generate", max_new=longest.pop())] * len(probes))
    return {i: answer.text for i, answer in zip(wanted, given, strict=True) if answer.reason is None}


def ask(
    answerer: Answerer | EditSession,
    case: EditCase,
    metrics: Iterable[Metric],
    written: Mapping[int, str] | None = None,
) -> Answers:
    """Ask a record's probes in all the ways that the metrics need: one call for loglikelihood, one for generate.

    `written` is what `write` returned for this record, where metrics need it.
    """
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
        answers |= {(i, way): unasked(reason) for i, way in asked if (reason := _unwritten(i, way, written))}
        asked = [each for each in asked if each not in answers]
        probes = [_with_target(case.probes[i], i, way, written) for i, way in asked]
        given = answers_of(answerer, probes, [way for _, way in asked]) if asked else []
        answers |= zip(asked, given, strict=True)
    return {(i, way): answer for (i, other), answer in answers.items() for way in serving if serving[way] == other}


def _unwritten(i: int, way: Ask, written: Mapping[int, str] | None) -> str | None:
    """Return why a probe cannot be fed what the unedited model writes; None where it can or need not."""
    if way.target == "gold":
        return None
    if written is None:
        raise ValueError("a metric wants what the unedited model writes; ask for it with write() before the edit")
    return UNWRITTEN if i not in written else None if written[i].strip() else SILENT


def _with_target(probe: Probe, i: int, way: Ask, written: Mapping[int, str] | None) -> Probe:
    return probe if way.target == "gold" or written is None else replace(probe, target=written[i])


def _serving(metrics: Iterable[Metric]) -> dict[Ask, Ask]:
    """Return for each way of asking the one that is used: an answer with log-probabilities also serves without them."""
    ways = dict.fromkeys(metric.ask for metric in metrics)
    return {way: full if (full := replace(way, logprobs=True)) in ways else way for way in ways}


def not_asked(case: EditCase, metrics: Iterable[Metric], reason: str) -> Answers:
    """Return empty answers with a reason, for a record that could not be asked at all."""
    return {(i, metric.ask): unasked(reason) for metric in metrics for i in _wanted(case, [metric])}


def answers_of(answerer: Answerer | EditSession, probes: Sequence[Probe], ways: Sequence[Ask]) -> list[Answer]:
    """Ask probes in one call; if one of them cannot be asked, ask the others in one call and keep its reason."""
    try:
        return _call(answerer, probes, ways)
    except CannotAskError:
        reasons = [_refusal(answerer, *asked) for asked in zip(probes, ways, strict=True)]
        if not any(reasons):
            raise
    among = [i for i, reason in enumerate(reasons) if reason is None]
    given = iter(_call(answerer, [probes[i] for i in among], [ways[i] for i in among]) if among else [])
    return [next(given) if reason is None else unasked(reason) for reason in reasons]


def _call(answerer: Answerer | EditSession, probes: Sequence[Probe], ways: Sequence[Ask]) -> list[Answer]:
    """Ask, and check that each probe got an answer."""
    answers = answerer.answer(probes, ways)
    if len(answers) != len(probes):
        whose = f"{type(answerer).__module__}.{type(answerer).__qualname__}"
        raise UserError(
            f"{whose} gave {len(answers)} answers to {len(probes)} questions; it owes one to each, in order"
        )
    return answers


def _refusal(answerer: Answerer | EditSession, probe: Probe, way: Ask) -> str | None:
    """Return why a probe cannot be asked, when it is asked alone; None if it can."""
    try:
        answerer.answer([probe], [way])
    except CannotAskError as error:
        return str(error)
    return None


def _wanted(case: EditCase, metrics: Sequence[Metric]) -> list[int]:
    """Return the indices of the probes that some metric scores."""
    roles = {role for metric in metrics for role in metric.roles}
    return [i for i, probe in enumerate(case.probes) if probe.kind.role in roles]
