"""What is sent to a tracker, and what a tracker does with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable


class Point(NamedTuple):
    """Figures at one place of a curve: after so many records, or with so many edits in the model."""

    step: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Tracked:
    """One run, or one editor of a stream.

    Attributes:
        name: its editor and what it was run on; the same for the same run.
        group: what it can be compared with: backbone, benchmark, hop, protocol, schedule.
        id: the same whenever the same run is sent: a digest of its name, settings and data.
        config: what it was run with, as plain data.
        summary: its final figures, in per cent or the column's own unit, by names such as `i_rel` and `gain/i_rel`.
        points: its curves; of a run one point.
    """

    name: str
    group: str
    id: str
    config: Mapping[str, Any]
    summary: Mapping[str, float]
    points: Sequence[Point]


@runtime_checkable
class Tracker(Protocol):
    """A service or a file format that shows runs side by side."""

    def send(self, run: Tracked) -> str:
        """Send one run, and return where it can be seen.

        Raises:
            UserError: it cannot be sent.
        """
        ...
