"""What a folder's rows were made with, and by which starts of the program.

Two halves. Settings decide the rows: a folder takes only rows of equal settings. Facts do not: how many records were
asked for, the versions, the commit, the command line. Each start adds its facts to `history`. Fields that this version
does not know are kept.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmke.errors import UserError
from mmke.results.described import describe_columns, describe_kinds, describe_metrics
from mmke.results.provenance import project_commit, versions
from mmke.results.run_json import SCHEMA, plain_value, read_run, save_run
from mmke.results.shard import Shard
from mmke.types import Dropped, Metric, ProbeKind, Switches

NOT_KNOWN = ""
"""The device of a run that other machines will compute, before the first of them has said what it is."""

_TOLD = ("device", "threads", "versions", "commit")
"""Facts whose change from one start to the next is told."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that decides the rows of a folder.

    Attributes:
        backbone: its name, like the next two.
        editor: see `backbone`.
        benchmark: see `backbone`; the path of the user's own file is a name too.
        hop: which portability questions were asked; 0: none.
        switches: as resolved for this editor.
        settings: the editor's own settings.
        metrics: what is scored.
        generate: whether the model also wrote answers by itself.
        seed: of the whole run.
        dtype: of the backbone's weights, such as "float32".
        device_type: "cpu" or "cuda": the two do not agree to the last bit.
        device: the model of the device, such as "NVIDIA H100 80GB HBM3": two models do not agree either.
        data_revision: sha256 of the annotation files.
        weights_revision: of the backbone's weights.
        prompt_revision: digest of how the backbone renders a prompt; None where it does not tell.
        schedule: in which order edits and questions come; "single": each record alone.
        probes: "published", "hard" or "all".
        partners: of which split the partners of hard locality are; None where none are needed.
        stream: settings of a stream; None where each record is alone.
        order_seed: of a stream's order; None of its floor, which is the same in every order.
    """

    backbone: str
    editor: str
    benchmark: str
    hop: int
    switches: Switches
    settings: Mapping[str, Any]
    metrics: tuple[Metric, ...]
    generate: bool
    seed: int
    dtype: str
    device_type: str
    device: str
    data_revision: str
    weights_revision: str
    prompt_revision: str | None = None
    schedule: str = "single"
    probes: str = "published"
    partners: str | None = None
    stream: Mapping[str, Any] | None = None
    order_seed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as the plain data that JSON gives back."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain |= {"protocol": self.switches.protocol, "switches": asdict(self.switches)}
        plain |= {"metrics": describe_metrics(self.metrics)}
        if self.stream is None:  # as runs were described before there were streams
            del plain["stream"], plain["order_seed"]
        return dict(json.loads(json.dumps(plain, allow_nan=False, default=plain_value)))


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a start of a run adds to the record without deciding its rows.

    Attributes:
        records_used: how many records this start goes over (`--limit`).
        dropped: records that the benchmark left out, with reasons.
        command: the command line.
        kinds: the kinds of question of these records.
        threads: of the processor; None where it does not matter.
        trained_on: how many of these records the editor's checkpoint was trained on.
        chosen_by: by how many of them it was chosen among other checkpoints.
        deviations: in what the editor differs from the published code, in sentences.
        available: how many records there are without a limit; None where it is not known.
        wanted: how many records of the results this start is to write, with those that are there; None: not known.
        steps: of a stream, how many there are; None where each record is alone.
        shard: which part of a run; None: the whole.
    """

    records_used: int
    dropped: tuple[Dropped, ...]
    command: tuple[str, ...]
    kinds: tuple[ProbeKind, ...] = ()
    threads: int | None = None
    trained_on: int = 0
    chosen_by: int = 0
    deviations: tuple[str, ...] = ()
    available: int | None = None
    wanted: int | None = None
    steps: int | None = None
    shard: Shard | None = None

    def records(self) -> dict[str, Any]:
        """Return what `run.json` says of the records."""
        return {
            "used": self.records_used,
            "available": self.available,
            "dropped": [drop._asdict() for drop in self.dropped],
            "trained_on": self.trained_on,
            "chosen_by": self.chosen_by,
            **({} if self.wanted is None else {"wanted": self.wanted}),
            **({} if self.steps is None else {"steps": self.steps}),
            **({} if self.shard is None else {"shard": self.shard._asdict()}),
        }


def check_same_settings(folder: Path, settings: RunSettings, *, data_changes: Callable[[], str] = str) -> None:
    """Refuse a folder that was made with other settings.

    Args:
        folder: a run's.
        settings: of the run that is to continue it.
        data_changes: says what changed in the data, where this did.

    Raises:
        UserError: the message lists every difference.
    """
    before = read_run(folder)
    if before is None:
        return
    now = settings.as_dict()
    # A top-level key that this version does not know was added by a later one, which took care of its meaning.
    old = {key: value for key, value in before.items() if key in now}
    changes = _probe_changes(old, now) or _metric_changes(old["metrics"], now["metrics"]) or differences(old, now)
    if any(change.startswith("data_revision") for change in changes):
        changes.append(f"changed data: {data_changes()}")
    if changes:
        raise UserError(
            f"{folder} holds a run with other settings:\n"
            + "\n".join(f"  {change}" for change in changes)
            + "\nchoose another --out, or delete the folder"
        )


def _probe_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say in one line which probes two runs ask, where these are not the same."""
    return [
        f"{name}: the folder has {old[name]!r}, this run {new[name]!r}; choose with --{name}"
        for name in ("probes", "partners")
        if old[name] != new[name] and None not in (old[name], new[name])
    ]


def _metric_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say in one line which metrics two runs score, where these are not the same."""
    if old.keys() == new.keys():
        return []
    named = [", ".join(metrics) or "none" for metrics in (old, new)]
    return [f"metrics: the folder has {named[0]}, this run {named[1]}; choose them with --metric"]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one line per key whose values differ; nested keys are joined by dots."""
    left, right = _flat(old), _flat(new)
    missing = "nothing"
    return [
        f"{key}: the folder has {left.get(key, missing)}, this run {right.get(key, missing)}"
        for key in dict.fromkeys([*left, *right])
        if left.get(key, missing) != right.get(key, missing)
    ]


def write_run(folder: Path, settings: RunSettings, facts: RunFacts, *, done: int = 0) -> None:
    """Write `run.json` at once, keeping the history of earlier starts and what this version does not know.

    `done` is the number of records that are finished when this start begins.
    """
    before: dict[str, Any] = read_run(folder) or {"history": [], "kinds": {}, "columns": {}}
    commit = project_commit()
    start = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(facts.command),
        "done": done,
        "device": settings.device,
        "threads": facts.threads,
        "deviations": list(facts.deviations),
        "versions": versions(),
        "commit": None if commit is None else asdict(commit),
    }
    _tell_changes(folder, before["history"], start)
    plain = {
        **before,
        "schema": SCHEMA,
        **settings.as_dict(),
        "kinds": before["kinds"] | describe_kinds(facts.kinds),
        "columns": before["columns"] | describe_columns(settings.metrics, facts.kinds),
        "records": facts.records(),
        "history": [*before["history"], start],
    }
    save_run(folder, plain)


def _tell_changes(folder: Path, history: Sequence[Mapping[str, Any]], start: Mapping[str, Any]) -> None:
    if not history:
        return
    changes = differences({key: history[-1].get(key) for key in _TOLD}, {key: start[key] for key in _TOLD})
    for change in changes:
        logger.warning("%s continues under other conditions: %s", folder, change)


def _flat(plain: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in plain.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False)
    return found
