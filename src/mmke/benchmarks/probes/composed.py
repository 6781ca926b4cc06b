"""A record's edit as two edits: what the picture shows, and what is known of it.

In: a case of one edit. Out: the case with two, or why it cannot be divided. The description is divided behind its first
sentence:

* the visual edit: the record's question about its picture -> the first sentence;
* the textual edit: "Tell me about NAME.", no picture -> the other sentences. NAME is the longest span of the first
  sentence that recurs in a T-Rel question (`names.recurring_name`).

The tag `part` of a question says what it takes: "visual" (I-Rel, its answer stands in the first sentence), "composed"
(I-Rel, its answer stands in the other sentences alone, so that both edits have to be put together), "textual" (T-Rel).
The idea of the composed question is MemEIC's (arXiv:2510.25798).
"""

from collections.abc import Callable
from dataclasses import replace

from mmke.benchmarks.probes.names import first_sentence, holds, plain, recurring_name
from mmke.types import Edit, EditCase, Probe, Query

TELL = "Tell me about {name}."
ONE_SENTENCE = "cannot be divided: its description is one sentence"
NO_NAME = "cannot be divided: no name in the first sentence recurs in a T-Rel question"
NOT_ONE = "cannot be divided: it does not have one edit on a picture"


def divided(case: EditCase, *, text_first: bool = False) -> EditCase | str:
    """Return the case with two edits, the visual one first unless `text_first`; else why it cannot be divided."""
    if len(case.edits) != 1 or case.edits[0].query.image is None:
        return NOT_ONE
    (edit,) = case.edits
    first, others = first_sentence(edit.target)
    name = recurring_name(first, [probe.query.text for probe in case.probes if probe.kind.name == "t_rel"])
    if not others:
        return ONE_SENTENCE
    if name is None:
        return NO_NAME
    edits = (replace(edit, target=first), Edit(Query(TELL.format(name=name)), others))
    part = _parts(first, others)
    return replace(
        case,
        edits=edits[::-1] if text_first else edits,
        probes=tuple(_tagged(probe, part(probe)) for probe in case.probes),
    )


def _parts(first: str, others: str) -> Callable[[Probe], str | None]:
    """Return what tells which part of a description a probe asks for; None: neither."""
    shown, known = plain(first).lower(), plain(others).lower()

    def part(probe: Probe) -> str | None:
        answer = plain(probe.target).lower()
        if probe.kind.name == "t_rel":
            return "textual"
        if probe.kind.name != "i_rel":
            return None
        return "visual" if holds(shown, answer) else "composed" if holds(known, answer) else None

    return part


def _tagged(probe: Probe, part: str | None) -> Probe:
    return probe if part is None else replace(probe, tags={**probe.tags, "part": part})
