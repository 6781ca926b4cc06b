"""How many workers a machine has room for, before any of them starts.

In: what the user asked for, the number of jobs, the bytes that one worker takes, the cores and the free memory. Out: a
number. What a container allows counts, not what its machine has.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mmke.counting import counted
from mmke.errors import UserError

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
MEMINFO = Path("/proc/meminfo")

logger = logging.getLogger(__name__)


def how_many(count: int | None, *, jobs: int, need: Callable[[], int], cores: int, free: int | None) -> int:
    """Return how many workers to start on a processor.

    Args:
        count: as the user gave it; None: as many as there are cores and memory for.
        jobs: more workers than jobs are of no use.
        need: returns the bytes that one worker takes; called where more than one is wanted.
        cores: that this process may use.
        free: bytes of memory; None: not known.

    Raises:
        UserError: so many as the user gave do not fit.
    """
    wanted = min(cores if count is None else count, max(jobs, 1))
    if wanted == 1:
        return 1
    each = need()
    fit = wanted if free is None else max(free // each, 1)
    told = f"each takes about {each / 2**30:.1f} GiB of memory, and {(free or 0) / 2**30:.1f} GiB are free"
    if count is None:
        if fit < wanted:
            logger.info("%d of %d workers: %s", fit, wanted, told)
        return min(wanted, fit)
    if fit < wanted:
        raise UserError(f"--workers {count}: {told}; give --workers {fit}, or end what else takes memory")
    if wanted > cores:
        logger.warning("%d workers share %s: more workers than cores are no faster", wanted, counted(cores, "core"))
    return wanted


def free_cores(group: Path = GROUPS, own: Path = OWN_GROUPS) -> int:
    """Return how many cores this process may use: those that it may run on, and what its container allows."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in _folders(group, own, "cpu"):
        told = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(told) == 2 and told[0] not in ("max", "-1"):
            allowed = min(allowed, max(int(told[0]) // int(told[1]), 1))
    return allowed


def free_bytes(group: Path = GROUPS, own: Path = OWN_GROUPS, meminfo: Path = MEMINFO) -> int | None:
    """Return the bytes of memory that this machine, and its container, still have; None where that is not known."""
    if not meminfo.is_file():
        return None
    told = dict(re.findall(r"^(\w+):\s+(\d+) kB$", meminfo.read_text(encoding="utf-8"), re.MULTILINE))
    if "MemAvailable" not in told:
        return None
    free = int(told["MemAvailable"]) << 10
    for folder in _folders(group, own, "memory"):
        most = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
        used = _words(folder / "memory.current") or _words(folder / "memory.usage_in_bytes")
        if most and used and most[0] != "max":
            free = min(free, int(most[0]) - int(used[0]) + _files(folder))
    return max(free, 0)


def _files(folder: Path) -> int:
    """Return the bytes of files that a container keeps in memory and gives up when it needs room."""
    told = _words(folder / "memory.stat")
    counted = dict(zip(told[::2], told[1::2], strict=False))
    return int(counted.get("total_inactive_file", counted.get("inactive_file", 0)))


def _folders(group: Path, own: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and of those around it, of version 2 and 1."""
    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    for line in lines:
        _, names, place = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        root = group / names if names else group
        # In a container the root is often its own group, whatever the place is called outside.
        inner = root / place.lstrip("/")
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(root):
                yield folder


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except OSError:
        return []
