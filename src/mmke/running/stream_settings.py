"""The settings of a stream: what is edited in which order, and when it is scored. Presets are sets of them by name.

Nothing here needs data. What a setting means for the cases of a benchmark is worked out in `stream.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from mmke.errors import UserError, did_you_mean

DEFAULT_TESTS = 100
"""Cases that are scored where the user names no number, or all that a benchmark has."""


class Moments(NamedTuple):
    """When cases are scored.

    Attributes:
        before: each case right before its own step.
        gaps: each case once, so many further cases after its own step; 0 is right after it.
        at: states in which every case so far is scored.
        end: whether the last state is one of these.
    """

    before: bool = False
    gaps: tuple[int, ...] = ()
    at: tuple[int, ...] = ()
    end: bool = False

    def __str__(self) -> str:
        """Return the moments as the user writes them, in one spelling."""
        parts = ["before"] * self.before + ["right"] * (0 in self.gaps)
        parts += [f"gap:{gap}" for gap in self.gaps if gap]
        if self.at:
            parts.append(f"at:{','.join(map(str, self.at))}")
        return ",".join([*parts, *["end"] * self.end])


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What a stream is, before it meets the cases of a benchmark.

    Attributes:
        order: "seed" (a seeded permutation of all cases), "file", or "grouped:TAG" (cases of one value of a tag
            together, the groups and the cases inside by seed; "user" is the name in "My name is NAME,").
        tests: how many cases are edited and scored, the first of the order; 0: all; None: `DEFAULT_TESTS`, or all.
        batch: cases of one step.
        score: when they are scored, see `parse_moments`.
        panel: at a checkpoint a seeded sample of so many cases is scored; 0: all.
        reset: the session is closed and opened anew after so many cases; 0: never.
        distract: so many further cases are edited in first and never scored.
        distract_from: where they come from: a file of edits, or what `--benchmark` takes; None: further records of the
            benchmark. In a planned stream the digest of the edits, so that others are another stream.
        groups: the session is closed and opened anew after so many groups of a grouped order; 0: never.
        items: at most so many cases of each group are used; 0: all.
        first_of_group: whether only the first case of each group is scored.
        hold_out: "partners": records that near misses take questions and pictures from are not edited; "none".
        or_all: whether a benchmark with fewer cases than `tests` is taken whole.
    """

    order: str = "seed"
    tests: int | None = None
    batch: int = 1
    score: str = "right,end"
    panel: int = 0
    reset: int = 0
    distract: int = 0
    distract_from: str | None = None
    groups: int = 0
    items: int = 0
    first_of_group: bool = False
    hold_out: str = "partners"
    or_all: bool = False

    @property
    def moments(self) -> Moments:
        """Return when cases are scored."""
        return parse_moments(self.score)

    @property
    def group(self) -> str | None:
        """Return the tag by which the order groups cases; None where it does not."""
        return self.order.partition(":")[2] or None

    def described(self, tests: int) -> dict[str, Any]:
        """Return the settings as plain data for run.json, with the number of cases that they come to."""
        plain = {**asdict(self), "tests": tests, "score": str(self.moments)}
        del plain["or_all"]  # `tests` says what it came to
        if self.distract_from is None:
            del plain["distract_from"]  # so that streams that were begun before there was this setting go on
        return plain

    def named(self, tests: int) -> str:
        """Return a short name for rows and folders: equal settings have equal names, others have others."""
        moments = str(self.moments).replace(",", "-").replace(":", "")
        # Numbers behind `at` are one list.
        moments = re.sub(r"(?<=\d)-(?=\d)", ".", moments)
        parts = ["stream", self.order.replace(":", "-"), f"{tests}x{self.batch}", moments]
        for name in ("panel", "reset", "distract", "groups", "items"):
            parts += [f"{name}{getattr(self, name)}"] if getattr(self, name) else []
        parts += [f"from-{self.distract_from}"] if self.distract_from else []
        return "-".join([*parts, *["first"] * self.first_of_group])


def parse_moments(text: str) -> Moments:
    """Read when cases are scored: `before`, `right`, `gap:2`, `at:1,3,10`, `end`, any of them joined by commas.

    A number alone belongs to the `gap:` or `at:` before it.

    Raises:
        UserError: another word, no number, or nothing at all.
    """
    found: dict[str, set[int]] = {"gap": set(), "at": set()}
    words: set[str] = set()
    kind = ""
    for part in (part.strip() for part in text.split(",")):
        head, colon, number = part.rpartition(":")
        if colon:
            kind = head
        if kind in found and number.isascii() and number.isdigit():
            found[kind].add(int(number))
        elif not colon and part in ("before", "right", "end"):
            words.add(part)
            kind = ""
        else:
            raise UserError(
                f"--score {text!r}: {part!r} is no moment; give any of before, right, gap:2, at:1,3,10 and end, "
                "joined by commas"
            )
    if 0 in found["at"]:
        raise UserError(f"--score {text!r}: at:0 is the unedited model, which is the floor; begin at at:1")
    gaps = found["gap"] | ({0} if "right" in words else set())
    return Moments("before" in words, tuple(sorted(gaps)), tuple(sorted(found["at"])), "end" in words)


def check_stream(settings: StreamSettings) -> None:
    """Refuse settings that no data can make sense of.

    Raises:
        UserError: the message names the option.
    """
    for name, least in (("batch", 1), ("panel", 0), ("reset", 0), ("distract", 0), ("groups", 0), ("items", 0)):
        if getattr(settings, name) < least:
            raise UserError(f"--{name} {getattr(settings, name)}: give a number from {least} up")
    if settings.tests is not None and settings.tests < 0:
        raise UserError(f"--tests {settings.tests}: give a number of cases, or 0 for all")
    if settings.hold_out not in ("partners", "none"):
        raise UserError(f"hold_out={settings.hold_out!r}: give 'partners' or 'none'")
    kind, _, tag = settings.order.partition(":")
    if settings.order not in ("seed", "file") and not (kind == "grouped" and tag):
        raise UserError(
            f"--order {settings.order}: give seed, file, or grouped: and a tag of the records, such as "
            "grouped:type_self or grouped:user"
        )
    for gap in settings.moments.gaps:
        if gap % settings.batch:
            raise UserError(f"--score gap:{gap}: with --batch {settings.batch} a gap is a multiple of {settings.batch}")
    if settings.distract_from and not settings.distract:
        raise UserError(f"--distract-from {settings.distract_from}: say with --distract how many edits to take")
    _check_resets(settings, settings.moments)
    _check_groups(settings)


def _check_groups(settings: StreamSettings) -> None:
    counted = {"--groups": settings.groups, "--items": settings.items, "--first-of-group": settings.first_of_group}
    stray = next((option for option, value in counted.items() if value), None)
    if stray is not None and not settings.group:
        raise UserError(f"{stray} is about groups, and --order {settings.order} has none; add --order grouped:TAG")


def _check_resets(settings: StreamSettings, moments: Moments) -> None:
    if settings.reset and settings.groups:
        raise UserError("--reset and --groups both say when the session is opened anew; give one of them")
    if settings.reset % settings.batch:
        raise UserError(f"--reset {settings.reset}: with --batch {settings.batch} it is a multiple of {settings.batch}")
    most = max(moments.gaps, default=0)
    if (settings.reset or settings.groups) and most:
        raise UserError(
            f"--score gap:{most}: a session that is opened anew has no further cases behind its last; score right, "
            "at: or end instead"
        )
    beyond = [state for state in moments.at if settings.reset and state > settings.reset]
    if beyond:
        raise UserError(f"--score at:{beyond[0]}: each session ends after --reset {settings.reset} cases")


class Preset(NamedTuple):
    """Settings by a name.

    Attributes:
        settings: those that differ from the defaults.
        about: what it does, and whose protocol it is.
        seeds: of the order.
        probes: which questions are asked.
        partners: where the partners of near misses come from.
        suffix: what the benchmark's name has to end with.
    """

    settings: Mapping[str, Any]
    about: str
    seeds: tuple[int, ...] = (0,)
    probes: str | None = None
    partners: str | None = None
    suffix: str = ""


PRESETS: Mapping[str, Preset] = {
    "single": Preset(
        {"order": "file", "tests": 0, "reset": 1, "score": "right"}, "each record alone, as mmke run edits it"
    ),
    "vlkeb-seq": Preset(
        {"order": "file", "tests": 200, "score": "gap:10"},
        "each record once, 10 further edits after its own (VLKEB; MMKE-Bench: --score gap:1,3,6,10)",
    ),
    "mmke-users": Preset(
        {"order": "grouped:user", "tests": 0, "items": 9, "groups": 5, "first_of_group": True, "score": "end"},
        "the first record of each user, after all records of 5 users (MMKE-Bench: --groups 1, 3, 5)",
    ),
    "liveedit": Preset(
        {"order": "file", "tests": 0, "reset": 10, "score": "end"},
        "ten edits, all scored after the last, then anew (LiveEdit: --reset 1, 10, 100, 1000)",
    ),
    "memeic": Preset(
        {"order": "file", "tests": 500, "score": "right,gap:10,20,50,100"},
        "each record as a visual and a textual edit (MemEIC); name a benchmark as NAME@split",
        suffix="@split",
    ),
    "turns": Preset(
        {"order": "file", "tests": 0, "batch": 100, "score": "end"},
        "a hundred edits a step, all scored at the end (UltraEdit, AlphaEdit; UniKE, MINED: --batch 1)",
    ),
    "lifelong": Preset(
        {
            "order": "seed",
            "tests": 1000,
            "or_all": True,
            "panel": 60,
            "score": "right,at:1,3,10,30,100,300,1000,end",
        },
        "up to 1,000 edits in three orders, scored right away and at checkpoints, near misses included",
        seeds=(0, 1, 2),
        probes="all",
        partners="train",
    ),
}


def preset(name: str) -> Preset:
    """Return a preset.

    Raises:
        UserError: there is none of this name.
    """
    if name not in PRESETS:
        raise UserError(
            f"--preset {name}: there is none{did_you_mean(name, PRESETS)}; there are {', '.join(sorted(PRESETS))}"
        )
    return PRESETS[name]


def settings_of(chosen: Preset | None, given: Mapping[str, Any]) -> StreamSettings:
    """Return a preset's settings with the user's own over them.

    Raises:
        UserError: they make no sense.
    """
    base = StreamSettings(**(chosen.settings if chosen else {}))
    settings = replace(base, **{name: value for name, value in given.items() if value is not None})
    check_stream(settings)
    return settings


def fitted(settings: StreamSettings, available: int) -> StreamSettings:
    """Return settings with at most as many cases as there are; checkpoints beyond them are left out.

    Where the end is no checkpoint, nothing is left out.
    """
    taken = 0 if settings.distract_from else settings.distract
    most = available - max(settings.moments.gaps, default=0) - taken
    if most < 1:
        return settings
    tests = min(settings.tests or most, most)
    moments = settings.moments
    if moments.end:
        moments = moments._replace(at=tuple(state for state in moments.at if state < tests))
    return replace(settings, tests=tests, score=str(moments))
