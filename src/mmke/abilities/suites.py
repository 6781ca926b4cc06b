"""The suites by their names, and a seeded sample of each.

In: names, or none for all that are here; the folder with the user's copies; the edits, whose things are left out.
Out: suites of questions whose pictures were looked at, and one line on those that are not here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mmke.abilities import held_out, mmbench, pope, scienceqa
from mmke.abilities.question import Question, Suite, drawn
from mmke.errors import UserError, did_you_mean
from mmke.types import Edit

LIMIT = 200
"""Questions of a suite, unless the user says otherwise."""
DATA = Path("abilities")
"""Where the user's copies are looked for, unless the user says otherwise."""
ALL = "all"


class Reader(NamedTuple):
    """How a published suite is read.

    Attributes:
        found: whether its files are in a folder.
        lines: all its questions by id, as they stand there.
        question: one of these with its picture.
        layout: which files are read, in words.
    """

    found: Callable[[Path], bool]
    lines: Callable[[Path], Mapping[str, Any]]
    question: Callable[[Path, Any], Question]
    layout: str


READERS: Mapping[str, Reader] = {
    part.NAME: Reader(part.found, part.lines, part.question, part.LAYOUT) for part in (pope, mmbench, scienceqa)
}
NAMES = (held_out.NAME, *READERS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which questions are to be asked.

    Attributes:
        names: of suites; empty: all that are here.
        data: folder with the user's copies of published suites.
        limit: questions of each suite; 0: all.
        seed: of the sample.
    """

    names: tuple[str, ...] = ()
    data: Path = DATA
    limit: int = LIMIT
    seed: int = 0


class Drawn(NamedTuple):
    """The suites that are asked, and a line on those that are not here; None: all are."""

    suites: tuple[Suite, ...]
    missing: str | None


def parse_names(text: str) -> tuple[str, ...]:
    """Read names joined by commas; `all` alone is every suite that is here.

    Raises:
        UserError: there is no suite of a name.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if names == (ALL,):
        return ()
    for name in names:
        if name not in NAMES:
            raise UserError(
                f"there is no suite of abilities {name!r}{did_you_mean(name, NAMES)}; there are {', '.join(NAMES)}, "
                f"and {ALL} for those that are here"
            )
    return names


def draw(wanted: Wanted, edits: Iterable[Edit] = ()) -> Drawn:
    """Return the suites that are asked.

    Args:
        wanted: which, and how many questions.
        edits: questions about what these show are left out of the small models' own.

    Raises:
        UserError: a suite that was named is not here, or a file is broken.
    """
    names = wanted.names or NAMES
    missing = [name for name in names if name in READERS and not READERS[name].found(wanted.data)]
    if wanted.names and missing:
        name = missing[0]
        raise UserError(
            f"{name} is not in {wanted.data}; put its published files there: {READERS[name].layout}, or name another "
            "folder with --data DIR (mmke stream: --abilities-data DIR)"
        )
    here = [name for name in names if name not in missing]
    suites = [_held_out(wanted, edits) if name == held_out.NAME else _published(name, wanted) for name in here]
    told = f"{wanted.data}/ has no files of {', '.join(missing)}, which are not asked" if missing else None
    return Drawn(tuple(suites), told)


def _held_out(wanted: Wanted, edits: Iterable[Edit]) -> Suite:
    plain = held_out.plain_questions()
    edited = held_out.shown_in(edits)
    eligible = [each for each in plain if held_out.thing_of(each) not in edited]
    chosen = drawn([each["id"] for each in eligible], limit=wanted.limit, seed=wanted.seed)
    questions = held_out.read(each for each in eligible if each["id"] in chosen)
    return Suite(held_out.NAME, tuple(questions), len(plain), len(plain) - len(eligible))


def _published(name: str, wanted: Wanted) -> Suite:
    reader = READERS[name]
    lines = reader.lines(wanted.data)
    if not lines:
        raise UserError(f"{name}: the files in {wanted.data} hold no question; looked for {reader.layout}")
    chosen: Sequence[str] = sorted(drawn(list(lines), limit=wanted.limit, seed=wanted.seed))
    return Suite(name, tuple(reader.question(wanted.data, lines[id_]) for id_ in chosen), len(lines))
