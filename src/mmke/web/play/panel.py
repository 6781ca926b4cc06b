"""What is asked besides, to see what else an edit changed: unrelated questions, and near misses.

In: an edit, and the record it comes from if there is one. Out: a few probes, each with words that say what it is. They
are the locality probes of the embedded records and those of hard locality (`benchmarks.probes.hard`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from mmke.benchmarks.probes.hard import with_hard_probes
from mmke.benchmarks.probes.partners import Partner, find_partners
from mmke.types import Edit, EditCase, Probe

WORDS: Mapping[str, str] = {
    "t_loc": "unrelated question",
    "i_loc": "unrelated picture",
    "ri_question": "same question, unrelated picture",
    "ri_picture": "unrelated question, same picture",
    "ri_generic": "general question, same picture",
    "ni_question": "same question, no picture",
    "ci_picture": "same question, similar thing",
    "ci_partner": "a similar thing",
    "near_text": "a similar thing, in text",
    "black": "same question, black picture",
}
"""What each kind is called, in the order of the panel."""
UNRELATED = ("t_loc", "i_loc")
MOST = 12
"""Questions of a panel."""
OF_A_KIND = 2
"""Questions of one kind, at most."""


def panel(edit: Edit, case: EditCase | None, among: Sequence[EditCase]) -> list[Probe]:
    """Return what is asked besides.

    Args:
        edit: that was made.
        case: a record of the same picture, to which there are similar things; None: the picture is the user's own.
        among: records of which unrelated questions and similar things are taken.
    """
    others = _drawn(edit, among)
    if case is None:
        borrowed = [probe for probe in others[0].probes if probe.kind.role == "locality"]
        case = EditCase("own", (edit,), tuple(borrowed))
        partner = Partner(None, "what the picture shows is not known")
    else:
        case = EditCase(case.id, (edit,), case.probes, case.unscored)
        partner = find_partners([case], [case, *(each for each in among if each.id != case.id)], _alike)[case.id]
    more = [probe for probe in others[1].probes if probe.kind.role == "locality"]
    found = [*with_hard_probes([case], {case.id: partner}, published=True)[0].probes, *more]
    return _chosen(found)


def _drawn(edit: Edit, among: Sequence[EditCase]) -> list[EditCase]:
    """Return records that belong to an edit: for the same edit the same ones."""
    first = int(sha256(edit.query.text.encode()).hexdigest(), 16)
    return [among[(first + 7 * n) % len(among)] for n in range(2)]


def _chosen(probes: Sequence[Probe]) -> list[Probe]:
    chosen: list[Probe] = []
    for kind in WORDS:
        fitting = {probe.query: probe for probe in probes if probe.kind.name == kind}
        # Without their gold answers, which nobody scores here and by which a model may write longer.
        chosen += [replace(probe, target="") for probe in fitting.values()][:OF_A_KIND]
    return chosen[:MOST]


def _alike(texts: Sequence[str]) -> np.ndarray:
    # Of equally similar records the first one of the same type is taken: no encoder has to be loaded for the panel.
    return np.ones((len(texts), 1))
