"""What more workers bring: the same run by one process and by several workers, with the rows held against each other.

For each way of working, one run into a fresh folder:

    python -m mmke_bench.workers --backbone llava-1.5-7b --weights random --device cuda \
        --records 200 --words 76 --processes 1,2 --ray 1,2 --out workers.json

The records are those of mini-entity, evaluation and training, in other words as often as needed, so that none is met
twice. What counts is the time behind the load: from the moment when every worker has sent its first record to the last
record. `share` is the speed per worker beside that of one plain process, which is `running.run.run` in this process.
"""

import argparse
import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from mmke.cli.progress import progress
from mmke.running.planning import Plan, plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.running.shards.sharded import run_sharded
from mmke.threads import limit_threads
from mmke.workers.opening import open_pool
from mmke.workers.protocols import Event, Job, Pool, Result
from mmke.workers.settings import HERE, WorkerSettings
from mmke_bench.workload import of_words

MINI = Path(__file__).parents[2] / "src" / "mmke" / "benchmarks" / "mini"
TEXTS = ("src", "rephrase", "loc", "m_loc_q")
ASKED = re.compile(r"(m_)?rel_\d+")


class Timed:
    """A pool whose results are timed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.results: list[tuple[float, int]] = []

    @property
    def size(self) -> int:
        """Return how many workers there are."""
        return self._pool.size

    def give(self, worker: int, job: Job) -> None:
        """Let a worker do a job."""
        self._pool.give(worker, job)

    def next(self) -> Event:
        """Wait for what happens next, and keep when a result came, and whose."""
        event = self._pool.next()
        if isinstance(event, Result):
            self.results.append((time.perf_counter(), event.worker))
        return event

    def dismiss(self, worker: int) -> None:
        """End a worker."""
        self._pool.dismiss(worker)


def main(words: Sequence[str] | None = None) -> None:
    """Run all ways and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="smol-llava")
    parser.add_argument("--weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--editors", default="ft-llm,ike")
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--words", type=int, default=0, help="of each description; 0: as they are")
    parser.add_argument("--plain", action="store_true", help="one process without workers, to compare with")
    parser.add_argument("--processes", default="", help="numbers of workers, such as 1,2")
    parser.add_argument("--ray", default="", help="the same on a Ray cluster of this machine")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(words)
    limit_threads(1)
    measured: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder) / "data", asked.records, words=asked.words)
        ways = [("plain", 1)] * asked.plain
        ways += [(how, int(n)) for how in ("processes", "ray") for n in getattr(asked, how).split(",") if n]
        for how, workers in ways:
            out = Path(folder) / f"{how}-{workers}"
            planned = plan(_request(asked, Path(folder) / "data", out))
            line = measure(planned, how, workers)
            measured.append({"backbone": asked.backbone, "weights": asked.weights, "records": asked.records, **line})
            print(json.dumps(measured[-1]), flush=True)
            shutil.rmtree(out)
    asked.out.write_text(json.dumps(compared(measured), indent=1) + "\n")


def _request(asked: argparse.Namespace, data: Path, out: Path) -> Request:
    return Request(
        asked.backbone,
        tuple(asked.editors.split(",")),
        ("mmke-entity",),
        data=data,
        out=out,
        device=asked.device,
        weights=asked.weights,
    )


def measure(planned: Plan, how: str, workers: int) -> dict[str, Any]:
    """Run a plan in one way; return the seconds, the records a second behind the load, and a digest of the rows."""
    begin = time.perf_counter()
    times: list[float] = []
    request = planned.request
    with progress(planned.records) as shown:

        def on_record() -> None:
            times.append(time.perf_counter())
            shown.step()

        if how == "plain":
            run(planned, on_record=on_record)
            loaded = times[0]
        else:
            settings = WorkerSettings(
                workers, HERE if how == "ray" else None, device=request.device, folder=request.out
            )
            timed: list[Timed] = []
            run_sharded([planned], _timed(open_pool(settings, workers), timed))
            times = [when for when, _ in timed[0].results]
            loaded = max(next(when for when, who in timed[0].results if who == each) for each in range(workers))
    end = time.perf_counter()
    behind = sum(when > loaded for when in times)
    return {
        "how": how,
        "workers": workers,
        "device": next(_stated(request.out, "device")),
        "editors": ["none", *(request.editors or ())],
        "seconds": round(end - begin, 2),
        "load_seconds": round(loaded - begin, 2),
        "record_cells_a_second": round(behind / (times[-1] - loaded), 4),
        "phases": _phases(request.out),
        "rows": _digest(request.out),
    }


@contextmanager
def _timed(pool: AbstractContextManager[Pool], timed: list[Timed]) -> Iterator[Pool]:
    with pool as workers:
        timed.append(Timed(workers))
        yield timed[0]


def _stated(out: Path, key: str) -> Iterator[Any]:
    for file in sorted(out.rglob("run.json")):
        yield json.loads(file.read_text())[key]


def _phases(out: Path) -> dict[str, float]:
    """Return the seconds that records took in all, by phase; what is missing of the whole is between the records."""
    found: dict[str, float] = {}
    for file in sorted(out.rglob("timings.jsonl")):
        for line in file.read_text().splitlines():
            for phase, seconds in json.loads(line)["seconds"].items():
                found[phase] = round(found.get(phase, 0.0) + seconds, 4)
    return found


def _digest(out: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(out.rglob("rows.jsonl")):
        digest.update(f"{file.relative_to(out)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def compared(measured: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of each way how fast a worker is beside the first one measured, and whether the rows are the same."""
    first = measured[0]
    return [
        {
            **line,
            "share": round(line["record_cells_a_second"] / line["workers"] / first["record_cells_a_second"], 3),
            "same_rows": line["rows"] == first["rows"],
        }
        for line in measured
    ]


def write_records(data: Path, count: int, *, words: int) -> None:
    """Write a data folder in the published format, whose entity records are those of mini-entity in other words."""
    (data / "data_json").mkdir(parents=True)
    (data / "data_image").symlink_to(MINI / "data_image")
    train, evaluation = (
        json.loads((MINI / "data_json" / f"entity_{split}.json").read_text()) for split in ("train", "eval")
    )
    own = [*evaluation, *train]
    records = [_reworded(own[i % len(own)], i // len(own), words) for i in range(count)]
    (data / "data_json" / "entity_train.json").write_text(json.dumps(train))
    (data / "data_json" / "entity_eval.json").write_text(json.dumps(records))


def _reworded(record: dict[str, Any], number: int, words: int) -> dict[str, Any]:
    def other(key: str, value: Any) -> Any:
        if key == "alt" and words:
            return of_words(value, words)
        return f"({number}) {value}" if number and (key in TEXTS or ASKED.fullmatch(key)) else value

    return {key: other(key, value) for key, value in record.items()}


if __name__ == "__main__":
    main()
