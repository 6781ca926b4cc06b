"""A record -> the edit and the questions about it: which text goes with which picture.

Source: MMKE-Bench, arXiv:2502.19870, as its published code pairs them. Two things surprise and are kept: for visual
knowledge the description on the other picture is asked for with the edit's own prompt, although a question of its own
exists, which only the generalisation probe uses; and portability of entities is asked on the edit's picture.
"""

from collections.abc import Iterator

from mmke.benchmarks.records import Asked, Record
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
KINDS = (RECALL, REPHRASE, IMAGE_REPHRASE, T_LOC, I_LOC, T_REL, I_REL, I_GEN, PORT)
"""The kinds in the order in which they are asked: first whether the edit took (its own prompt, a paraphrase, another
picture, each with the description as the answer), then the published six."""

EMPTY = "the question or its answer is empty"


def build_case(record: Record, *, case_id: str, hop: int) -> EditCase:
    """Return the case; portability is unscored where the record has no question of this hop."""
    probes = list(_probes(record, hop))
    missing = missing_hop(record, hop)
    unscored: dict[ProbeKind, str] = {probe.kind: EMPTY for probe in probes if not _can_be_asked(probe)}
    if missing:
        unscored[PORT] = missing
    return EditCase(
        id=case_id,
        edits=(Edit(Query(record.prompt, record.picture), record.description, record.original),),
        probes=tuple(probe for probe in probes if _can_be_asked(probe)),
        unscored=unscored,
    )


def _can_be_asked(probe: Probe) -> bool:
    return bool(probe.query.text.strip() and probe.target.strip())


def missing_hop(record: Record, hop: int) -> str | None:
    """Return why a record has no portability question of this hop; None when it has one, or for hop 0."""
    if not hop:
        return None
    if record.hops is None:
        return "no port_new"
    return None if hop in record.hops else f"no {hop}-hop question in port_new"


def _probes(record: Record, hop: int) -> Iterator[Probe]:
    """Yield the probes in the order that every result keeps."""

    def probe(kind: ProbeKind, asked: Asked, picture: ImageRef | None) -> Probe:
        return Probe(kind, Query(asked.question, picture), asked.answer, record.tags)

    described = Asked(record.prompt, record.description)
    yield probe(RECALL, described, record.picture)
    yield probe(REPHRASE, Asked(record.paraphrase, record.description), record.picture)
    yield probe(IMAGE_REPHRASE, described, record.other_picture)
    yield probe(T_LOC, record.text_locality, None)
    yield probe(I_LOC, record.image_locality, record.locality_picture)
    yield from (probe(T_REL, asked, None) for asked in record.text_relations)
    yield from (probe(I_REL, asked, record.picture) for asked in record.image_relations)
    yield from (probe(I_GEN, asked, record.other_picture) for asked in record.generalisation)
    if hop and record.hops and hop in record.hops:
        yield probe(PORT, record.hops[hop], record.hop_picture)
