"""Annotation files as a benchmark.

In: the file of a split and the folder of its pictures. Out: its cases (`EditCase`) and the records that were dropped.
Every problem of a file is collected first, and told together.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmke.benchmarks.annotations import Annotations, Numbered, read_file, read_records, unread
from mmke.benchmarks.formats.fields import HOPS
from mmke.benchmarks.formats.recognise import MMKE, Format
from mmke.benchmarks.formats.record import Record
from mmke.benchmarks.pictures import Pictures
from mmke.benchmarks.probes.published import Asking, build_case, missing_hop
from mmke.benchmarks.problems import Problems
from mmke.counting import counted
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
        upright = switches.exif_orientation == "applied"
        pictures = open_pictures(self.pictures, file, problems, decode=False, upright=upright)
        annotations = read_file(file, problems)
        records = list(read_records(annotations, pictures, problems, ports=hop > 0, thorough=False))
        judge_whole(annotations, records, hop, problems)
        problems.stop_if_any(self.name)
        asking = ask_of(annotations.form, records, hop, strip_answers=switches.answer_blanks == "stripped")
        cases, dropped = split_records(records, asking, hop_drops_records=switches.hop_drops_records)
        notes = (*_format_notes(annotations.form), *misspelt(annotations), *_blank_notes(records, switches))
        return Split(cases, dropped, notes)


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
        raise UserError(f"--hop {hop} does not exist; expected one of {hops}, or 0 for no portability question")


def open_pictures(root: Path, file: Path, problems: Problems, *, decode: bool, upright: bool = True) -> Pictures:
    """Return the pictures below a folder; a missing folder is one problem of the file that refers to it."""
    if not root.is_dir():
        problems.add(file, f"its picture folder {root} does not exist (--data names another)")
    return Pictures(root, decode=decode, upright=upright)


def judge_whole(annotations: Annotations, records: Sequence[Numbered], hop: int, problems: Problems) -> None:
    """Add a problem where no record could be evaluated: none has a description, or none a question of the hop."""
    file, form = annotations.file, annotations.form
    there = [each.record for each in records if each.record is not None]
    if records and not there:
        problems.add(file, "every record is skipped; expected at least one description", field="alt")
    counts = hop_counts(there)
    if not there or not all(missing_hop(record, hop) for record in there) or (form is not MMKE and not counts):
        return
    hops = ", ".join(f"{found}-hop (in {count:,})" for found, count in counts.items()) or "none"
    told = f"no record has a {hop}-hop question; hops in this file: {hops}; choose with --hop, 0 for none"
    problems.add(file, told, field="port_new")


def hop_counts(records: Sequence[Record]) -> Mapping[int, int]:
    """Return how many records have a question of each hop."""
    return dict(sorted(Counter(hop for record in records for hop in record.hops or ()).items()))


def ask_of(form: Format, records: Sequence[Numbered], hop: int, *, strip_answers: bool) -> Asking:
    """Return what is asked of records; of a format whose file has no portability questions none are asked for."""
    without = form is not MMKE and hop > 0 and not any(each.record and each.record.hops for each in records)
    not_asked = {**form.not_asked, form.kinds.port: f"this file of {form.name} has no such question"}
    return Asking(
        hop=0 if without else hop,
        kinds=form.kinds,
        not_asked=not_asked if without else form.not_asked,
        strip_answers=strip_answers,
    )


def split_records(
    records: Sequence[Numbered], asking: Asking, *, hop_drops_records: bool
) -> tuple[tuple[EditCase, ...], tuple[Dropped, ...]]:
    """Turn records without problems into cases, and say which are dropped; a case's id holds its position."""
    cases: list[EditCase] = []
    dropped: list[Dropped] = []
    for position, record in records:
        if record is None:
            dropped.append(Dropped(position, NO_DESCRIPTION))
        elif hop_drops_records and (reason := missing_hop(record, asking.hop)):
            dropped.append(Dropped(position, reason))
        else:
            cases.append(build_case(record, case_id=f"{record.source}-{position:05d}", asking=asking))
    return tuple(cases), tuple(dropped)


def count_blanks(records: Sequence[Numbered]) -> int:
    """Return how many answers begin or end with white space."""
    answers = (answer for each in records if each.record for answer in each.record.answers())
    return sum(bool(answer.strip()) and answer != answer.strip() for answer in answers)


def misspelt(annotations: Annotations) -> list[str]:
    """Return a line for each name in the records that means nothing and is nearly one that does."""
    return [
        f"field {each.name!r} is not read (in {counted(each.records, 'record')}); did you mean {each.meant!r}?"
        for each in unread(annotations)
        if each.meant
    ]


def _format_notes(form: Format) -> list[str]:
    return [] if form is MMKE else [f"read in the format of {form.name}"]


def _blank_notes(records: Sequence[Numbered], switches: Switches) -> list[str]:
    count = count_blanks(records)
    what = "left out" if switches.answer_blanks == "stripped" else "kept and scored, as published"
    return [f"white space at the beginning or end of {counted(count, 'answer')} is {what}"] if count else []
