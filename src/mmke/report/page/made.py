"""How the figures were made, as the page tells it: settings, versions, commits, devices, commands, protocol."""

import json
import shlex
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from mmke.report.page.gather import Gathered, ReadRun
from mmke.report.page.words import switches_told


def made_of(gathered: Gathered) -> list[dict[str, Any]]:
    """Return for each run what its `run.json` says, in words; runs of one table stand together."""

    def of(run: ReadRun) -> tuple[str, str]:
        schedule = run.run.get("schedule") or "single"
        stream = "" if schedule == "single" else f", stream {schedule}"
        return run.source, run.table + stream

    return [
        {
            "title": place + (f" ({source})" if len(gathered.sources) > 1 else ""),
            "runs": [_run(run) for run in group],
        }
        for (source, place), group in groupby(sorted(gathered.runs, key=of), key=of)
    ]


def _run(run: ReadRun) -> dict[str, Any]:
    plain = run.run
    about = [plain["editor"], f"seed {plain['seed']}" if plain["seed"] else ""]
    about += [f"order {plain['order_seed']}"] if plain.get("order_seed") is not None else []
    return {
        "name": ", ".join(filter(None, about)),
        "facts": [(name, value) for name, value in _facts(run) if value],
        "settings": [(name, _plain(value)) for name, value in (plain.get("settings") or {}).items()],
        "metrics": [_metric(name, told) for name, told in (plain.get("metrics") or {}).items()],
        "switches": switches_told(plain["switches"]),
        "starts": [_start(start) for start in plain.get("history") or ()],
        "dropped": [f"record {each['record']}: {each['reason']}" for each in plain["records"].get("dropped", ())],
        "unfinished": run.unfinished,
    }


def _facts(run: ReadRun) -> list[tuple[str, str]]:
    plain = run.run
    records = plain["records"]
    of = f" of {records['available']}" if records.get("available") else ""
    stream = plain.get("stream")
    return [
        ("records", f"{len({record.case_id for record in run.records})} finished{of}"),
        ("device", str(plain.get("device") or "")),
        ("precision", str(plain.get("dtype") or "")),
        ("questions", str(plain.get("probes") or "")),
        ("partners of hard questions", str(plain.get("partners") or "")),
        ("answers written by the model itself", "yes" if plain.get("generate") else "no"),
        ("stream", "" if not stream else _plain(stream)),
        ("checkpoint trained on records of this table", str(records.get("trained_on") or "")),
        ("checkpoint chosen by records of this table", str(records.get("chosen_by") or "")),
        ("revision of the data", str(plain.get("data_revision") or "")),
        ("revision of the weights", str(plain.get("weights_revision") or "")),
        ("revision of the prompt", str(plain.get("prompt_revision") or "")),
        ("results format", str(plain.get("schema") or 1)),
    ]


def _metric(name: str, told: Mapping[str, Any]) -> str:
    better = "higher is better" if told.get("higher_is_better") else "lower is better"
    parameters = f", {_plain(told['parameters'])}" if told.get("parameters") else ""
    return f"{name}: {told.get('unit')}, {better}{parameters}"


def _start(start: Mapping[str, Any]) -> dict[str, Any]:
    commit = start.get("commit") or {}
    versions = start.get("versions") or {}
    dirty = ", with changes that were not committed" if commit.get("dirty") else ""
    return {
        "when": str(start.get("started") or ""),
        "command": _command(start.get("command") or ()),
        "device": str(start.get("device") or ""),
        "threads": start.get("threads"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "commit": f"{str(commit['sha'])[:12]}{dirty}" if commit.get("sha") else "not from a checkout",
        "deviations": list(start.get("deviations") or ()),
    }


def _command(words: Sequence[str]) -> str:
    # The first word is the program, with whatever path it was started by.
    return shlex.join(["mmke", *words[1:]] if words and words[0].rpartition("/")[2].startswith("mmke") else words)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
