"""How far a command of several stages has come: one bar over all of them; in a file or a pipe a line now and then."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmke.cli.progress import Lines

if TYPE_CHECKING:
    from tqdm import tqdm

    from mmke.build.protocols import Shown


@contextmanager
def stages(expected: Mapping[str, int]) -> Iterator["Shown"]:
    """Show the progress of some stages; `expected` says how many steps each will probably have, in their order."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _Lines()
        return
    from tqdm import tqdm

    with tqdm(
        total=sum(expected.values()), leave=False, bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}"
    ) as bar:
        yield _Bar(bar, dict(expected))


class _Bar:
    """Each stage has its part of the bar, which is corrected as soon as the stage knows how long it is."""

    def __init__(self, bar: "tqdm[None]", expected: dict[str, int]) -> None:
        self._bar, self._expected = bar, expected
        self._ends = 0
        self._name, self._done, self._total = "", 0, 0

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self._expected.pop(name, None)
        self._bar.update(self._ends - self._bar.n)
        self._ends += total
        self._bar.total = self._ends + sum(self._expected.values())
        self._name, self._done, self._total = name, 0, total
        self._advance(done)

    def step(self) -> None:
        self._advance(1)

    def _advance(self, steps: int) -> None:
        self._done += steps
        self._bar.set_description_str(f"{self._name} {self._done}/{self._total}", refresh=False)
        self._bar.update(steps)
        self._bar.refresh()


class _Lines:
    """A stage's lines in a file or a pipe; none where it ends soon."""

    def __init__(self) -> None:
        self._lines = Lines(0)

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self._lines = Lines(total, done, of=f"steps of the stage {name!r}")

    def step(self) -> None:
        self._lines.step()
