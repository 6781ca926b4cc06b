"""Sending runs to a tracker by its name."""

from collections.abc import Sequence
from pathlib import Path

from mmke import registry
from mmke.trackers.protocol import Tracker
from mmke.trackers.reading import read_tracked

PROJECT = "mmke"


def open_tracker(name: str, *, project: str = PROJECT, folder: Path) -> Tracker:
    """Return a tracker, ready to send.

    Args:
        name: of the registry.
        project: under which the tracker shows the runs.
        folder: of the results; what a tracker writes to the disk lies in it.

    Raises:
        UserError: an unknown name, or the tracker's package is not installed.
    """
    made: Tracker = registry.factory("trackers", name)(project=project, folder=folder)
    return made


def track(tracker: Tracker, folders: Sequence[Path]) -> list[str]:
    """Send the runs and streams below some folders, and return where each can be seen.

    Raises:
        UserError: there is none, or one cannot be sent.
    """
    return [tracker.send(run) for run in read_tracked(folders)]
