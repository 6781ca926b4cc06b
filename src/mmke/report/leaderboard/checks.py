"""What a run must pass to be ranked. Each check returns the reason why a run does not pass, or None."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mmke.report.leaderboard.entries import Entry


class Rules(NamedTuple):
    """What the runs of one board are held against.

    Attributes:
        protocol: that all of them have to follow.
        data_revision: of annotations and pictures: the one that most of the board's runs have.
        records: how many records the benchmark has at each revision, as far as a run says it.
        floors: the board's runs of unedited models.
    """

    protocol: str
    data_revision: str
    records: Mapping[str, int]
    floors: Sequence[Entry]


Check = Callable[[Entry, Rules], str | None]


def rules_of(entries: Sequence[Entry], *, protocol: str) -> Rules:
    """Return the rules of a board from all runs of its benchmark."""
    revisions = Counter(entry.run["data_revision"] for entry in entries)
    records: dict[str, int] = {}
    for entry in entries:
        available = entry.run["records"].get("available")
        if available is not None and entry.cell.protocol == protocol:
            records[entry.run["data_revision"]] = available
    return Rules(protocol, revisions.most_common(1)[0][0], records, [each for each in entries if each.is_floor])


def complete(entry: Entry, rules: Rules) -> str | None:
    """All records of the benchmark are there."""
    wanted, have = rules.records.get(entry.run["data_revision"]), entry.cell.n
    if wanted is None:
        return (
            f"does not say how many records there are, and has {have}; an earlier version of mmke made it: run it again"
        )
    return None if have >= wanted else f"{have} of {wanted} records: run it with --limit 0"


def committed(entry: Entry, rules: Rules) -> str | None:
    """It was made by code that others can get: a commit without changes, or an installed version."""
    starts = entry.run["history"]
    if any((start["commit"] or {}).get("dirty") for start in starts):
        return "made from a checkout with changes that were not committed"
    codes = {_code(start) for start in starts}
    if None in codes:
        return "names neither a commit nor a version of mmke"
    return None if len(codes) == 1 else f"made by several versions: {', '.join(sorted(map(str, codes)))}"


def same_data(entry: Entry, rules: Rules) -> str | None:
    """It was made of the same annotations and pictures as the other runs of the board."""
    found = entry.run["data_revision"]
    if found == rules.data_revision:
        return None
    return f"other data than most runs here: revision {found[:12]}, not {rules.data_revision[:12]}"


def same_protocol(entry: Entry, rules: Rules) -> str | None:
    """It follows the board's protocol, and was asked the published questions."""
    if entry.cell.protocol != rules.protocol:
        return f"protocol {entry.cell.protocol}; this board is {rules.protocol}"
    return "was not asked the published questions (--probes hard)" if entry.run["probes"] == "hard" else None


def with_floor(entry: Entry, rules: Rules) -> str | None:
    """The unedited model's run is there, on the same records."""
    if entry.is_floor or any(_is_floor_of(floor, entry) for floor in rules.floors):
        return None
    return "the unedited model's run (the editor none) is not in its folder, or not on all of its records"


def held_out(entry: Entry, rules: Rules) -> str | None:
    """None of its records was trained on."""
    seen = entry.cell.conditions.trained_on
    return f"its checkpoint was trained on {seen} of these records" if seen else None


CHECKS: Mapping[str, Check] = {
    "complete": complete,
    "clean commit": committed,
    "same data": same_data,
    "same protocol": same_protocol,
    "floor": with_floor,
    "held out": held_out,
}
"""By name, in the order in which reasons are told."""


def reasons(entry: Entry, rules: Rules) -> dict[str, str]:
    """Return by check why a run does not pass; empty where it passes all."""
    found = {name: check(entry, rules) for name, check in CHECKS.items()}
    return {name: reason for name, reason in found.items() if reason is not None}


def _is_floor_of(floor: Entry, entry: Entry) -> bool:
    same = (floor.source, floor.cell.block, floor.cell.seed) == (entry.source, entry.cell.block, entry.cell.seed)
    return same and floor.cell.ids >= entry.cell.ids


def _code(start: Mapping[str, object]) -> str | None:
    """Return the commit, in short, or else the version that a start of the program had."""
    commit, versions = start.get("commit"), start.get("versions")
    if isinstance(commit, Mapping):
        return str(commit["sha"])[:10]
    version = versions.get("mmke") if isinstance(versions, Mapping) else None
    return None if version is None else f"version {version}"


def code_of(entry: Entry) -> str:
    """Return what made a run, for a reader: its commits or versions."""
    return ", ".join(dict.fromkeys(_code(start) or "unknown" for start in entry.run["history"]))
