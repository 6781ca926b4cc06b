"""`mmke check`: every problem of a benchmark's data at once, and what a run would use of it.

Beyond what loading looks at, each picture is decoded to the last pixel and the portability questions are read
whatever the hop. Skipped records (an empty `alt`) and repeated ones are no problems: they are counted.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mmke.benchmarks.annotations import Numbered, read_list, read_records
from mmke.benchmarks.probes.published import missing_hop
from mmke.benchmarks.problems import Problems
from mmke.benchmarks.splits import (
    AnnotationBenchmark,
    SplitName,
    check_hop,
    hop_counts,
    judge_whole,
    open_pictures,
)
from mmke.types import STRICT, Benchmark


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """What one annotation file holds.

    Attributes:
        split: "train" or "eval".
        file: the annotation file.
        records: entries in its list.
        readable: records that could be read and have a description, by kind of knowledge.
        without_description: records that are skipped because their `alt` is empty.
        repeated: records equal to an earlier one in every field.
        hops: how many records have a portability question of each hop.
        without_hop: records without a question of the hop that was asked about; 0 where none was.
        pictures: distinct pictures in order.
    """

    split: SplitName
    file: Path
    records: int
    readable: Mapping[str, int]
    without_description: int
    repeated: int
    hops: Mapping[int, int]
    without_hop: int
    pictures: int

    def text(self) -> str:
        """Return the counts as a few lines."""
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.readable.items()) or "none"
        hops = ", ".join(f"{hop}-hop in {count:,}" for hop, count in self.hops.items()) or "none"
        lines = [
            f"{self.split}: {self.file}",
            f"  {self.records:,} records; usable: {kinds}; pictures: {self.pictures:,}; portability: {hops}",
        ]
        if self.without_description:
            lines.append(f"  {self.without_description:,} skipped: alt is empty")
        if self.without_hop:
            lines.append(f"  {self.without_hop:,} without a question of the hop: Port unscored (paper: dropped)")
        if self.repeated:
            lines.append(f"  {self.repeated:,} equal to an earlier record; they count twice in every mean")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found: counts for each split, and the problems."""

    benchmark: str
    revision: str
    splits: tuple[SplitCounts, ...]
    problems: Problems

    @property
    def passed(self) -> bool:
        """Return whether the benchmark can be run."""
        return not len(self.problems)

    def text(self) -> str:
        """Return the report as it is printed."""
        head = f"{self.benchmark}: {self.problems.count()} (revision {self.revision[:12]})"
        parts = [head, *(split.text() for split in self.splits)]
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
    # Portability is asked of the evaluation split alone.
    splits = tuple(_check_split(benchmark, split, hop if split == "eval" else 0, problems) for split in benchmark.files)
    return CheckReport(benchmark.name, benchmark.revision, splits, problems)


def _check_split(benchmark: AnnotationBenchmark, split: SplitName, hop: int, problems: Problems) -> SplitCounts:
    file = benchmark.files[split]
    pictures = open_pictures(benchmark.pictures, file, problems, decode=True)
    raws = read_list(file, problems)
    shown = tqdm(raws, desc=f"{benchmark.name} {split}", unit="record", leave=False, disable=None)
    records = list(read_records(shown, file, pictures, problems, ports=True))
    judge_whole(file, records, hop, problems)
    return _count(split, file, raws, records, hop=hop, pictures=pictures.n_found)


def _count(
    split: SplitName,
    file: Path,
    raws: Sequence[object],
    records: Sequence[Numbered],
    *,
    hop: int,
    pictures: int,
) -> SplitCounts:
    described = [each.record for each in records if each.record is not None]
    return SplitCounts(
        split=split,
        file=file,
        records=len(raws),
        readable=dict(Counter(record.knowledge for record in described)),
        without_description=len(records) - len(described),
        repeated=len(raws) - len({json.dumps(raw, sort_keys=True) for raw in raws}),
        hops=hop_counts(described),
        without_hop=sum(missing_hop(record, hop) is not None for record in described),
        pictures=pictures,
    )
