"""What every benchmark promises: records with an identity, pictures that are there, and the same at each reading."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pytest

from mmke.benchmarks.open import open_benchmark
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.testing.kit import Kit, shared_kit
from mmke.types import PROTOCOLS, Benchmark, EditCase, ImageRef, Role

SPLITS: tuple[Literal["train", "eval"], ...] = ("train", "eval")


@dataclass(frozen=True)
class BenchmarkTrial:
    """A benchmark by its name, the folder of its data if it needs one, and a place for results."""

    name: str
    data: Path | None
    out: Path

    def open(self) -> Benchmark:
        """Open it anew."""
        return open_benchmark(self.name, data=self.data)

    def load(self, split: Literal["train", "eval"], *, hop: int = 1, protocol: str = "strict") -> tuple[EditCase, ...]:
        """Open it anew and load a split."""
        return self.open().load(split, hop=hop, switches=PROTOCOLS[protocol]).cases


Claim = Callable[[BenchmarkTrial], None]


def it_keeps_the_protocol(trial: BenchmarkTrial) -> None:
    """It has every member that `mmke.types.Benchmark` names, and states its revision."""
    benchmark = trial.open()
    assert isinstance(benchmark, Benchmark)
    assert benchmark.name
    assert benchmark.revision == trial.open().revision != ""


def every_record_is_complete(trial: BenchmarkTrial) -> None:
    """Each record has an identity of its own, an edit, and probes, or a reason for a kind that cannot be asked."""
    for split in SPLITS:
        for protocol in PROTOCOLS:
            cases = trial.load(split, protocol=protocol)
            assert cases, (split, protocol)
            assert len({case.id for case in cases}) == len(cases), (split, protocol)
            for case in cases:
                check_record(case)


def check_record(case: EditCase) -> None:
    """Fail where a record lacks something."""
    assert case.edits, case.id
    assert case.probes, case.id
    assert all(edit.query.text.strip() and edit.target.strip() for edit in case.edits), case.id
    assert all(probe.target.strip() for probe in case.probes), case.id
    kinds = {*(probe.kind for probe in case.probes), *case.unscored}
    assert {kind.role for kind in kinds} <= set(get_args(Role)), case.id
    assert all(reason.strip() for reason in case.unscored.values()), case.id


def every_picture_is_there(trial: BenchmarkTrial) -> None:
    """Each picture is a file, whose bytes have the digest that is its identity."""
    cases = [case for split in SPLITS for case in trial.load(split)]
    for picture in {picture for case in cases for picture in pictures_of(case)}:
        assert hashlib.sha256(picture.path.read_bytes()).hexdigest() == picture.sha256, picture.path


def two_readings_agree(trial: BenchmarkTrial) -> None:
    """Reading again gives the same records in the same order."""
    assert trial.load("eval") == trial.load("eval")


def no_hop_asks_no_portability_question(trial: BenchmarkTrial) -> None:
    """With hop 0, portability is not asked."""
    assert "port" not in {probe.kind.name for case in trial.load("eval", hop=0) for probe in case.probes}


def its_first_record_runs(trial: BenchmarkTrial) -> None:
    """A run over its first record, unedited, writes rows for every kind of probe that the record has."""
    (cell,) = run(plan(Request("tiny-llava", ("none",), (trial.name,), limit=1, data=trial.data, out=trial.out)))
    rows = (cell / "rows.jsonl").read_text()
    assert all(f'"{probe.kind.name}"' in rows for probe in trial.load("eval")[0].probes)


CLAIMS: tuple[Claim, ...] = (
    it_keeps_the_protocol,
    every_record_is_complete,
    every_picture_is_there,
    two_readings_agree,
    no_hop_asks_no_portability_question,
    its_first_record_runs,
)


def pictures_of(case: EditCase) -> Iterator[ImageRef]:
    """Yield the pictures of a record's edits and probes."""
    for query in [edit.query for edit in case.edits] + [probe.query for probe in case.probes]:
        if query.image is not None:
            yield query.image


def benchmark_contract(*names: str, data: Path | Callable[[Kit], Path] | None = None) -> Callable[..., None]:
    """Return a test of every claim for each of these benchmarks.

    Args:
        names: registered names, or paths of files in the published format.
        data: the folder that `--data` names, or what makes it of the kit: `lambda kit: kit.data` for small records.
    """

    @pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
    @pytest.mark.parametrize("benchmark", names)
    def test_benchmark(benchmark: str, claim: Claim, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        folder = data(shared_kit(request)) if callable(data) else data
        claim(BenchmarkTrial(benchmark, folder, tmp_path / "results"))

    return test_benchmark
