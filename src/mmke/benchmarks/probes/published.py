"""From a record to its edit and its probes: which question is asked about which picture.

In: a `Record`, and what its format asks. Out: an `EditCase`, its probes in the order that every result keeps. Source:
MMKE-Bench, arXiv:2502.19870, as its published code pairs questions and pictures. Two things surprise and are kept. For
visual knowledge, `image_rephrase` asks the edit's own prompt about the other picture; the record has a question for
that picture, but only the generalisation probe uses it. And portability of entities is asked about the edit's picture.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mmke.benchmarks.formats.record import Asked, Record
from mmke.types import Edit, EditCase, ImageRef, Probe, ProbeKind, Query

RECALL = ProbeKind("recall", "recall", "recall")
REPHRASE = ProbeKind("rephrase", "rephrase", "recall")
IMAGE_REPHRASE = ProbeKind("image_rephrase", "image_rephrase", "recall")
T_LOC = ProbeKind("t_loc", "T-Loc", "locality", headline=True)
I_LOC = ProbeKind("i_loc", "I-Loc", "locality", headline=True)
T_REL = ProbeKind("t_rel", "T-Rel", "relation", headline=True)
I_REL = ProbeKind("i_rel", "I-Rel", "relation", headline=True)
I_GEN = ProbeKind("i_gen", "I-Gen", "relation", headline=True)
PORT = ProbeKind("port", "Port", "relation", headline=True)


class Kinds(NamedTuple):
    """The kinds in the order in which they are asked.

    First whether the edit took (its own prompt, a paraphrase, another picture, each with the description as the
    answer); then the published six.
    """

    recall: ProbeKind = RECALL
    rephrase: ProbeKind = REPHRASE
    image_rephrase: ProbeKind = IMAGE_REPHRASE
    t_loc: ProbeKind = T_LOC
    i_loc: ProbeKind = I_LOC
    t_rel: ProbeKind = T_REL
    i_rel: ProbeKind = I_REL
    i_gen: ProbeKind = I_GEN
    port: ProbeKind = PORT


KINDS = Kinds()
"""MMKE-Bench's."""
SISTERS = Kinds(
    recall=replace(RECALL, label="Rel", headline=True),
    rephrase=replace(REPHRASE, label="T-Gen", headline=True),
    image_rephrase=replace(IMAGE_REPHRASE, label="M-Gen", headline=True),
    t_rel=replace(T_REL, headline=False),
    i_rel=replace(I_REL, headline=False),
    i_gen=replace(I_GEN, headline=False),
)
"""VLKEB's and MMEdit's, which measure reliability and generality by the edit's own prompt."""

EMPTY = "the question or its answer is empty"


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of the records of a file.

    Attributes:
        hop: the portability question; 0 for none.
        kinds: as the file's format has them.
        not_asked: kinds that the format has no questions of, each with the reason.
        strip_answers: leave out white space at the beginning and the end of answers.
    """

    hop: int
    kinds: Kinds = KINDS
    not_asked: Mapping[ProbeKind, str] = field(default_factory=dict)
    strip_answers: bool = True


def build_case(record: Record, *, case_id: str, asking: Asking) -> EditCase:
    """Return the case; a kind is unscored where its question is missing, or where question or answer are empty."""
    probes = list(_probes(record, asking))
    missing = missing_hop(record, asking.hop)
    unscored = {probe.kind: EMPTY for probe in probes if not _can_be_asked(probe)}
    if missing:
        unscored[asking.kinds.port] = missing
    return EditCase(
        id=case_id,
        edits=(Edit(Query(record.prompt, record.picture), _answer(record.description, asking), record.original),),
        probes=tuple(probe for probe in probes if _can_be_asked(probe)),
        unscored={**asking.not_asked, **unscored},
    )


def missing_hop(record: Record, hop: int) -> str | None:
    """Return why a record has no portability question of this hop; None when it has one, or for hop 0."""
    if not hop:
        return None
    if record.hops is None:
        return "no port_new"
    return None if hop in record.hops else f"no {hop}-hop question in port_new"


def _answer(text: str, asking: Asking) -> str:
    return text.strip() if asking.strip_answers else text


def _can_be_asked(probe: Probe) -> bool:
    return bool(probe.query.text.strip() and probe.target.strip())


def _probes(record: Record, asking: Asking) -> Iterator[Probe]:
    """Yield the probes in the order that every result keeps."""
    kinds = asking.kinds

    def probe(kind: ProbeKind, asked: Asked, picture: ImageRef | None) -> Probe:
        return Probe(kind, Query(asked.question, picture), _answer(asked.answer, asking), record.tags)

    described = Asked(record.prompt, record.description)
    yield probe(kinds.recall, described, record.picture)
    yield probe(kinds.rephrase, Asked(record.paraphrase, record.description), record.picture)
    yield probe(kinds.image_rephrase, described, record.other_picture)
    yield probe(kinds.t_loc, record.text_locality, None)
    yield probe(kinds.i_loc, record.image_locality, record.locality_picture)
    yield from (probe(kinds.t_rel, asked, None) for asked in record.text_relations)
    yield from (probe(kinds.i_rel, asked, record.picture) for asked in record.image_relations)
    yield from (probe(kinds.i_gen, asked, record.other_picture) for asked in record.generalisation)
    if asking.hop and record.hops and asking.hop in record.hops:
        yield probe(kinds.port, record.hops[asking.hop], record.hop_picture)
