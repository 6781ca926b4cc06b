"""Hard locality: questions that look like the edit's, and whose answers should not change.

In: records with their published probes, and each record's partner. Out: the records with ten further kinds of probe. A
question can be the record's own on the edited knowledge, its unrelated one, or its partner's, and so can the picture.
Most combinations are De-VQA's (arXiv:2511.13243; in its letters T1/I1 are the record's own text and picture, T2/I2 its
partner's, T3/I3 those of its image locality, I4 is no picture), the generic questions are FGVEdit's idea
(arXiv:2411.12790), and the black picture is BalancEdit's (arXiv:2505.01343). An eleventh kind, another question about
the same picture whose gold answer the edited model should give, is asked already: it is Port of visual and user
records.

The right answer is always the unedited model's. A probe's gold answer is what an edit says that speaks where it should
not: the record's own gold answer where the question is its own, the edit's target where it is not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from mmke.benchmarks.probes.names import picture_edit, plain
from mmke.benchmarks.probes.partners import Partner
from mmke.pictures import BrokenPictureError, black_path, picture_size, read_bytes
from mmke.types import Edit, EditCase, ImageRef, Probe, ProbeKind, Query

Group = Literal["RI", "NI", "CI"]


def _kind(name: str, group: Group | None = None) -> ProbeKind:
    return ProbeKind(name, name, "hard locality", group=group)


RI_QUESTION = _kind("ri_question", "RI")
"""The edit's question about an unrelated picture (T1I3)."""
RI_PICTURE = _kind("ri_picture", "RI")
"""An unrelated question about the edited picture (T3I1)."""
RI_GENERIC = _kind("ri_generic", "RI")
"""Five questions that any picture can be asked, about the edited one."""
NI_QUESTION = _kind("ni_question", "NI")
"""The edit's question without its picture (T1I4), where it points at a picture."""
NI_PARTNER = _kind("ni_partner", "NI")
"""The partner's question without a picture (T2I4)."""
CI_PICTURE = _kind("ci_picture", "CI")
"""The edit's question about the partner's picture (T1I2)."""
CI_PARTNER = _kind("ci_partner", "CI")
"""The partner's question about the partner's picture (T2I2)."""
CI_NAMED = _kind("ci_named", "CI")
"""The partner's question in text, which names the partner, about the edited picture (T2I1, made decidable)."""
NEAR_TEXT = _kind("near_text")
"""The partner's question in text."""
BLACK = _kind("black")
"""The edit's question about a black picture."""
KINDS = (
    *(RI_QUESTION, RI_PICTURE, RI_GENERIC, NI_QUESTION, NI_PARTNER, CI_PICTURE, CI_PARTNER, CI_NAMED),
    *(NEAR_TEXT, BLACK),
)

OF_PARTNER = (NI_PARTNER, CI_PICTURE, CI_PARTNER, CI_NAMED, NEAR_TEXT)
"""Kinds that need the partner."""

GENERIC = (
    "What colours stand out?",
    "Is this indoors or outdoors?",
    "How many objects are there?",
    "Is there any text in the picture?",
    "Is it a photo or a drawing?",
)
POINTING = ("image", "picture", "shown")
"""A question that holds one of these points at a picture."""

NO_PICTURE = "the record edits no picture"
NO_LOCALITY = "the record has no unrelated question about a picture"
SAME_QUESTION = "its unrelated question is the edit's own, which the edit may answer on the edited picture"
NOT_POINTING = "no question about the edited picture says that it is about a picture"
NO_TEXT = "its partner has no question in text"

Asked = tuple[tuple[str, str], ...]
"""Questions, each with the gold answer of its probe."""


class _Sources(NamedTuple):
    """What the probes of one record are made of: questions and pictures, or why it lacks them."""

    own: Asked
    generic: Asked
    pointing: Asked | str
    unrelated: Asked | str
    partners: Asked | str
    partners_text: Asked | str
    picture: ImageRef | str
    unrelated_picture: ImageRef | str
    partners_picture: ImageRef | str
    black: ImageRef | str


def with_hard_probes(
    cases: Iterable[EditCase], partners: Mapping[str, Partner], *, published: bool
) -> tuple[EditCase, ...]:
    """Return the records with the probes of hard locality; a kind that cannot be asked is unscored with its reason.

    A probe that needs the partner has its id as the tag `partner`.

    Args:
        cases: records with their published probes.
        partners: of each record, by its id.
        published: keep the published probes, before the hard ones.
    """
    return tuple(_with_hard_probes(case, partners[case.id], published=published) for case in cases)


def _with_hard_probes(case: EditCase, partner: Partner, *, published: bool) -> EditCase:
    tags = dict(case.probes[0].tags) if case.probes else {}
    probes: list[Probe] = []
    unscored: dict[ProbeKind, str] = {}
    for kind, asked, picture in _combined(_sources(case, partner)):
        if isinstance(asked, str) or isinstance(picture, str):
            unscored[kind] = asked if isinstance(asked, str) else str(picture)
            continue
        more = {"partner": partner.case.id} if partner.case is not None and kind in OF_PARTNER else {}
        probes += [Probe(kind, Query(text, picture), answer, {**tags, **more}) for text, answer in asked]
    if published:
        return replace(case, probes=(*case.probes, *probes), unscored={**case.unscored, **unscored})
    return replace(case, probes=tuple(probes), unscored=unscored)


def _combined(of: _Sources) -> tuple[tuple[ProbeKind, Asked | str, ImageRef | str | None], ...]:
    """Return for each kind its questions and the picture that they are asked about."""
    return (
        (RI_QUESTION, of.own, of.unrelated_picture),
        (RI_PICTURE, of.unrelated, of.picture),
        (RI_GENERIC, of.generic, of.picture),
        (NI_QUESTION, of.pointing, None),
        (NI_PARTNER, of.partners, None),
        (CI_PICTURE, of.own, of.partners_picture),
        (CI_PARTNER, of.partners, of.partners_picture),
        (CI_NAMED, of.partners_text, of.picture),
        (NEAR_TEXT, of.partners_text, None),
        (BLACK, of.own, of.black),
    )


def _sources(case: EditCase, partner: Partner) -> _Sources:
    edit, other = picture_edit(case), partner.case
    own, picture = _on_picture(case), edit.query.image or NO_PICTURE
    locality = next((probe.query for probe in case.probes if probe.kind.name == "i_loc"), None)
    common: dict[str, Any] = {
        "own": own,
        "generic": _foreign(GENERIC, edit),
        "pointing": tuple(each for each in own if any(word in each[0].lower() for word in POINTING)) or NOT_POINTING,
        "unrelated": NO_LOCALITY if locality is None else _unrelated(locality.text, case),
        "picture": picture,
        "unrelated_picture": NO_LOCALITY if locality is None or locality.image is None else locality.image,
        "black": picture if isinstance(picture, str) else _black(picture),
    }
    if other is None:
        why = partner.reason
        return _Sources(**common, partners=why, partners_text=why, partners_picture=why)
    in_text = [probe.query.text for probe in other.probes if probe.kind.name == "t_rel"]
    return _Sources(
        **common,
        partners=_foreign([text for text, _ in _on_picture(other)], edit),
        partners_text=_foreign(in_text, edit) or NO_TEXT,
        partners_picture=picture_edit(other).query.image or NO_PICTURE,
    )


def _foreign(questions: Iterable[str], edit: Edit) -> Asked:
    """Return questions that the edit does not answer: a model that says its target there speaks out of turn."""
    return tuple((question, edit.target) for question in questions)


def _unrelated(question: str, case: EditCase) -> Asked | str:
    """Return the unrelated question for the edited picture; one like the edit's own would be a fair question there."""
    edit = picture_edit(case)
    own = [edit.query.text, *(probe.query.text for probe in case.probes if probe.kind.role == "recall")]
    if plain(question).lower() in {plain(text).lower() for text in own}:
        return SAME_QUESTION
    return _foreign([question], edit)


def _on_picture(case: EditCase) -> Asked:
    """Return the questions about the edited picture; a format that has none has the edit's own prompt."""
    asked = tuple((probe.query.text, probe.target) for probe in case.probes if probe.kind.name == "i_rel")
    edit = picture_edit(case)
    return asked or ((edit.query.text, edit.target),)


def _black(image: ImageRef) -> ImageRef | str:
    """Return a black picture of a picture's size, or why that has no size."""
    try:
        width, height = picture_size(image.path, upright=image.upright)
    except BrokenPictureError as error:
        return f"{image.path} cannot be read as a picture ({error})"
    return ImageRef(black_path(width, height), _black_digest(width, height))


@lru_cache
def _black_digest(width: int, height: int) -> str:
    return sha256(read_bytes(black_path(width, height))).hexdigest()
