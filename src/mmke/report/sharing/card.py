"""The card of shared results: tables, and how they were made, from `run.json` and the rows alone."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmke.report.cells import read_cells, stream_folders
from mmke.report.table import render

Runs = Mapping[str, Mapping[str, Any]]

TABLES = ("rows", "answers", "cases", "timings", "steps", "states")
"""Files of one object a line, each of which the hub shows as a table."""
HASH = 12


def card(folder: Path, runs: Runs, *, title: str) -> str:
    """Return the card's text.

    Args:
        folder: of results.
        runs: what each `run.json` says, by the run's folder in `folder`.
        title: of the page.

    Raises:
        UserError: a file in the folder is broken.
    """
    from huggingface_hub import DatasetCard

    parts = [
        f"# {title}\n\nMultimodal knowledge editing, measured with `mmke` after MMKE-Bench (arXiv:2502.19870).",
        *_tables(folder, runs),
        "## How it was run\n\n" + "\n".join(_conditions(runs)),
        "## Runs\n\n" + "\n".join(_settings(runs)),
        "## Protocol\n\n" + "\n".join(_switches(runs)),
        "## Files\n\n" + _FILES,
    ]
    return str(DatasetCard(f"---\n{_header(runs, title)}\n---\n\n" + "\n\n".join(parts) + "\n"))


def _header(runs: Runs, title: str) -> str:
    from huggingface_hub import DatasetCardData

    streams = any(run.get("stream") for run in runs.values())
    names = [name for name in TABLES if streams or name not in ("steps", "states")]
    data = DatasetCardData(
        pretty_name=title,
        language="en",
        tags=["knowledge-editing", "multimodal", "evaluation-results", "mmke"],
        configs=[{"config_name": name, "data_files": f"**/{name}.jsonl"} for name in names],
    )
    return str(data.to_yaml())


def _tables(folder: Path, runs: Runs) -> Iterator[str]:
    streams = stream_folders(folder)
    if len(streams) < len(runs):
        yield "## Figures\n\n" + render(read_cells(folder), "markdown")
    if streams:
        from mmke.report.streams.render import render_streams
        from mmke.report.streams.summaries import read_streams

        yield "## Streams\n\n" + render_streams(read_streams(folder), "markdown")


def _conditions(runs: Runs) -> Iterator[str]:
    starts = [start for run in runs.values() for start in run["history"]]
    for name, found in (
        ("device", [start.get("device") for start in starts]),
        ("precision", [run.get("dtype") for run in runs.values()]),
        *((package, [start["versions"].get(package) for start in starts]) for package in _packages(starts)),
        ("commit", [_commit(start) for start in starts]),
        ("data revision", [_short(run.get("data_revision")) for run in runs.values()]),
        ("weights revision", [_short(run.get("weights_revision")) for run in runs.values()]),
    ):
        told = ", ".join(dict.fromkeys(str(value) for value in found if value is not None))
        yield f"* {name}: {told or 'not known'}"


def _packages(starts: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for start in starts for name in start["versions"]))


def _commit(start: Mapping[str, Any]) -> str | None:
    commit = start["commit"]
    return None if commit is None else commit["sha"] + (" with changes that were not committed" * commit["dirty"])


def _short(revision: object) -> str | None:
    return None if revision is None else "+".join(part[:HASH] for part in str(revision).split("+"))


def _settings(runs: Runs) -> Iterator[str]:
    yield "| run | editor | settings | records |\n|---|---|---|---|"
    for place, run in runs.items():
        settings = ", ".join(f"{key} = {value}" for key, value in run["settings"].items()) or "none"
        cells = (place, run["editor"], settings, str(run["records"]["used"]))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _switches(runs: Runs) -> Iterator[str]:
    """Say what the protocol decides, once where all runs agree, else for each value the editors that have it."""
    for name in dict.fromkeys(name for run in runs.values() for name in run["switches"]):
        found: dict[str, list[str]] = {}
        for run in runs.values():
            found.setdefault(str(run["switches"].get(name)), []).append(run["editor"])
        alone = len(found) == 1
        told = [value if alone else f"{value} ({', '.join(dict.fromkeys(names))})" for value, names in found.items()]
        yield f"* {name.replace('_', ' ')}: {'; '.join(told)}"


_FILES = """Each run is one folder in version 2 of the results format. `mmke table FOLDER` makes the tables again,
`mmke score FOLDER` scores the kept answers with further metrics, and neither loads a model.

* `run.json`: what was run, with which settings, versions, commit and command.
* `rows.jsonl`: one score a line. `answers.jsonl`: what the models said. `cases.jsonl`: edits and questions.
* `timings.jsonl`: seconds and memory. Of streams also `steps.jsonl`, `states.jsonl` and `abilities.jsonl`.

Edited knowledge is false on purpose: do not train on it or quote it as facts. Questions and answers are those of the
benchmark, and keep its licence."""
