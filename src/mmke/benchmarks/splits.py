"""Annotation files as a benchmark: judged as a whole, then turned into cases."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmke.benchmarks.annotations import Numbered, read_list, read_records
from mmke.benchmarks.pictures import Pictures
from mmke.benchmarks.probes.published import build_case, missing_hop
from mmke.benchmarks.problems import Problems
from mmke.benchmarks.records import HOPS, Record
from mmke.errors import UserError
from mmke.types import Dropped, EditCase, Split, Switches

SplitName = Literal["train", "eval"]

NO_DESCRIPTION = "alt is empty"


@dataclass(slots=True)
class AnnotationBenchmark:
    """One or two annotation files and the folder that their pictures are relative to.

    Attributes:
        name: what the results carry.
        revision: the file's sha256 where there is one file, else a sha256 over those of both.
        files: the file of each split; a split without one is empty.
        pictures: the picture folder.
    """

    name: str
    revision: str
    files: Mapping[SplitName, Path]
    pictures: Path

    def load(self, split: SplitName, *, hop: int, switches: Switches) -> Split:
        """Read a split; `hop` 0 asks no portability question.

        Each picture's header is looked at and its bytes are hashed; `mmke check` decodes the pixels too.
        A probe whose question or answer is empty is unscored; `mmke check` calls that a problem.
        Records are dropped where their description is empty, and, if the switches say so, where they have no
        question of the hop.

        Raises:
            UserError: files are missing or broken, or no record has a question of this hop; every problem at
            once.
        """
        check_hop(hop)
        if split not in self.files:
            return Split(cases=(), dropped=())
        file, problems = self.files[split], Problems()
        pictures = open_pictures(self.pictures, file, problems, decode=False)
        raws = read_list(file, problems)
        records = list(read_records(raws, file, pictures, problems, ports=hop > 0, thorough=False))
        judge_whole(file, records, hop, problems)
        problems.stop_if_any(self.name)
        return split_records(records, hop=hop, hop_drops_records=switches.hop_drops_records)


def open_annotations(name: str, *, files: Mapping[SplitName, Path], pictures: Path) -> AnnotationBenchmark:
    """Return a benchmark over files that exist.

    Raises:
        UserError: a file cannot be read.
    """
    try:
        digests = {split: hashlib.sha256(files[split].read_bytes()).hexdigest() for split in sorted(files)}
    except OSError as error:
        raise UserError(f"{name}: cannot read {error.filename}: {error.strerror}") from error
    if len(digests) == 1:
        revision = next(iter(digests.values()))
    else:
        lines = "".join(f"{split} {digest}\n" for split, digest in digests.items())
        revision = hashlib.sha256(lines.encode()).hexdigest()
    return AnnotationBenchmark(name, revision, files, pictures)


def check_hop(hop: int) -> None:
    """Raise a `UserError` unless `hop` is one of the format's hops, or 0 for none."""
    if hop not in (0, *HOPS):
        hops = ", ".join(map(str, HOPS))
        raise UserError(f"hop {hop} does not exist; expected one of {hops}, or 0 for no portability question")


def open_pictures(root: Path, file: Path, problems: Problems, *, decode: bool) -> Pictures:
    """Return the pictures below a folder; a missing folder is one problem of the file that refers to it."""
    if not root.is_dir():
        problems.add(file, f"its picture folder {root} does not exist")
    return Pictures(root, decode=decode)


def judge_whole(file: Path, records: Sequence[Numbered], hop: int, problems: Problems) -> None:
    """Note a problem when nothing would be left to evaluate: no description, or no question of the hop."""
    there = [each.record for each in records if each.record is not None]
    if records and not there:
        problems.add(file, "every record is skipped; expected at least one description", field="alt")
    if not there or not all(missing_hop(record, hop) for record in there):
        return
    counts = hop_counts(there)
    hops = ", ".join(f"{found}-hop (in {count:,})" for found, count in counts.items()) or "none"
    problems.add(file, f"no record has a {hop}-hop question; hops in this file: {hops}", field="port_new")


def hop_counts(records: Sequence[Record]) -> Mapping[int, int]:
    """Return how many records have a question of each hop."""
    return dict(sorted(Counter(hop for record in records for hop in record.hops or ()).items()))


def split_records(records: Sequence[Numbered], *, hop: int, hop_drops_records: bool) -> Split:
    """Turn records without problems into cases; a case's id is its kind and its position in the file."""
    cases: list[EditCase] = []
    dropped: list[Dropped] = []
    for position, record in records:
        if record is None:
            dropped.append(Dropped(position, NO_DESCRIPTION))
        elif hop_drops_records and (reason := missing_hop(record, hop)):
            dropped.append(Dropped(position, reason))
        else:
            cases.append(build_case(record, case_id=f"{record.knowledge}-{position:05d}", hop=hop))
    return Split(tuple(cases), tuple(dropped))
