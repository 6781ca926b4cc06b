"""`mmke check`: every problem of a benchmark's data at once, and what a run would use of it.

Beyond what loading looks at, each picture is decoded to the last pixel and the portability questions are read
whatever the hop. Skipped records (an empty `alt`) and repeated ones are no problems: they are counted.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mmke.benchmarks.annotations import Annotations, Numbered, read_file, read_records, told_format, unread
from mmke.benchmarks.formats.record import Record
from mmke.benchmarks.pictures import Pictures
from mmke.benchmarks.probes.published import missing_hop
from mmke.benchmarks.problems import Problems
from mmke.benchmarks.splits import (
    AnnotationBenchmark,
    SplitName,
    ask_of,
    check_hop,
    count_blanks,
    hop_counts,
    judge_whole,
    misspelt,
    open_pictures,
)
from mmke.counting import counted
from mmke.types import STRICT, Benchmark, ProbeKind

NAMED = 3
"""How many records that stand in both splits are named."""


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """What one annotation file holds.

    Attributes:
        split: "train" or "eval".
        file: the annotation file.
        form: the format that it is in, in words.
        records: entries in its list.
        readable: records that could be read and have a description, by what they are records of.
        without_description: records that are skipped because their `alt` is empty.
        repeated: records equal to an earlier one in every field.
        hops: how many records have a portability question of each hop.
        without_hop: records without a question of the hop that was asked about; 0 where none was.
        pictures: distinct pictures in order.
        turned: those of them whose EXIF orientation is not 1.
        blanks: answers that begin or end with white space.
        notes: what else was noticed, line by line.
    """

    split: SplitName
    file: Path
    form: str
    records: int
    readable: Mapping[str, int]
    without_description: int
    repeated: int
    hops: Mapping[int, int]
    without_hop: int
    pictures: int
    turned: int
    blanks: int
    notes: tuple[str, ...]

    def text(self, *, usable: bool) -> str:
        """Return the counts as a few lines; `usable` says whether a run could begin with these data."""
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.readable.items()) or "none"
        hops = ", ".join(f"{hop}-hop in {count:,}" for hop, count in self.hops.items()) or "none"
        use = f"usable: {kinds}" if usable else f"usable: none before the problems are solved (read: {kinds})"
        told = [
            (self.without_description, "skipped: alt is empty"),
            (self.without_hop, "without a question of the hop: Port unscored (paper: dropped)"),
            (self.repeated, "equal to an earlier record; they count twice in every mean"),
        ]
        return "\n".join(
            [
                f"{self.split}: {self.file}, {self.form}",
                f"  {counted(self.records, 'record')}; {use}; pictures: {self.pictures:,}; portability: {hops}",
                *(f"  {count:,} {what}" for count, what in told if count),
                *(f"  {line}" for line in self._counted()),
                *(f"  {note}" for note in self.notes),
            ]
        )

    def _counted(self) -> Iterator[str]:
        if self.blanks:
            yield f"white space around {counted(self.blanks, 'answer')}: strict leaves it out, paper scores it"
        if self.turned:
            yield f"EXIF orientation in {counted(self.turned, 'picture')}: strict applies it, paper ignores it"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found: counts for each split, the problems, and what is no problem of one split alone."""

    benchmark: str
    revision: str
    splits: tuple[SplitCounts, ...]
    problems: Problems
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Return whether the data are in order."""
        return not len(self.problems)

    def text(self) -> str:
        """Return the report as it is printed."""
        head = f"{self.benchmark}: {self.problems.count()} (revision {self.revision[:12]})"
        usable = not self.problems.stopping
        parts = [head, *(split.text(usable=usable) for split in self.splits), *self.notes]
        return "\n".join(parts if self.passed else [*parts, self.problems.text()])


def check(benchmark: Benchmark, *, hop: int) -> CheckReport:
    """Look at every record and every picture of all splits.

    A benchmark that is not made of annotation files (one from another package) is loaded, so that it can
    judge itself.

    Raises:
        UserError: the hop does not exist, or a benchmark from another package found fault with its data.
    """
    check_hop(hop)
    problems = Problems()
    if not isinstance(benchmark, AnnotationBenchmark):
        benchmark.load("train", hop=0, switches=STRICT)
        benchmark.load("eval", hop=hop, switches=STRICT)
        return CheckReport(benchmark.name, benchmark.revision, (), problems)
    files = {split: read_file(file, problems) for split, file in benchmark.files.items()}
    # Portability is asked of the evaluation split alone.
    splits = tuple(
        _check_split(benchmark, split, read, hop if split == "eval" else 0, problems) for split, read in files.items()
    )
    return CheckReport(benchmark.name, benchmark.revision, splits, problems, notes=_in_both(files))


def _check_split(
    benchmark: AnnotationBenchmark, split: SplitName, annotations: Annotations, hop: int, problems: Problems
) -> SplitCounts:
    pictures = open_pictures(benchmark.pictures, annotations.file, problems, decode=True)
    shown = tqdm(annotations.raws, desc=f"{benchmark.name} {split}", unit="record", leave=False, disable=None)
    records = list(read_records(annotations._replace(raws=shown), pictures, problems, ports=True))
    judge_whole(annotations, records, hop, problems)
    return _count(split, annotations, records, hop=hop, pictures=pictures)


def _count(
    split: SplitName, annotations: Annotations, records: Sequence[Numbered], *, hop: int, pictures: Pictures
) -> SplitCounts:
    file, raws, form = annotations
    described = [each.record for each in records if each.record is not None]
    asking = ask_of(form, records, hop, strip_answers=True)
    return SplitCounts(
        split=split,
        file=file,
        form=told_format(annotations),
        records=len(raws),
        readable=dict(Counter(record.source for record in described)),
        without_description=len(records) - len(described),
        repeated=len(raws) - len({_content(raw) for raw in raws}),
        hops=hop_counts(described),
        without_hop=sum(missing_hop(record, asking.hop) is not None for record in described),
        pictures=pictures.n_found,
        turned=pictures.n_turned,
        blanks=count_blanks(records),
        notes=(*_not_asked(described, asking.not_asked), *misspelt(annotations), *_unknown(annotations)),
    )


def _not_asked(described: Sequence[Record], not_asked: Mapping[ProbeKind, str]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for kind, reason in not_asked.items():
        reasons.setdefault(reason, []).append(kind.label)
    return [f"unscored: {', '.join(kinds)} ({reason})" for reason, kinds in reasons.items()] if described else []


def _unknown(annotations: Annotations) -> list[str]:
    names = [f"{each.name} ({each.records:,})" for each in unread(annotations) if not each.meant]
    return [f"not read: {', '.join(names)}"] if names else []


def _in_both(files: Mapping[SplitName, Annotations]) -> tuple[str, ...]:
    """Tell of records that stand in both splits: what is trained on them, or shown as an example, is no evaluation."""
    raws = {split: annotations.raws for split, annotations in files.items()}
    train = {_content(raw): n for n, raw in enumerate(raws.get("train", ()))}
    pairs = [(n, train[content]) for n, raw in enumerate(raws.get("eval", ())) if (content := _content(raw)) in train]
    if not pairs:
        return ()
    named = ", ".join(f"eval {n} = train {other}" for n, other in pairs[:NAMED]) + ", …" * (len(pairs) > NAMED)
    return (f"in both splits: {counted(len(pairs), 'record')} ({named}); what learns from train has seen them",)


def _content(raw: object) -> str:
    return json.dumps(raw, sort_keys=True)
