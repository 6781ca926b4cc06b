"""docs/results-format.md names every field that a run writes."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmke.results.abilities import AbilityRecord, AnswerRecord, ability_line
from mmke.results.folder import FILES, open_run
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.run_json import RUN
from mmke.results.saved_session import FACTS, SESSION, Origin, SavedSession, write_facts
from mmke.results.states import StateRecord, state_line
from mmke.results.steps import StepRecord, step_line
from mmke.results.timings import Timing
from mmke.types import EditCase, ScoreRow

DOCUMENT = Path(__file__).parents[2] / "docs/results-format.md"
FREE = ("settings", "tags", "notes", "ask", "unscored", "versions", "switches", "metrics", "kinds", "columns")
"""Their keys are names that others give."""


def keys(plain: Any) -> Iterator[str]:
    if isinstance(plain, list):
        for each in plain:
            yield from keys(each)
    if isinstance(plain, dict):
        for key, value in plain.items():
            yield key
            yield from () if key in FREE else keys(value)


def test_every_field_is_documented(
    tmp_path: Path,
    settings: RunSettings,
    facts: RunFacts,
    case: Callable[[str], EditCase],
    record: Callable[[str], list[ScoreRow]],
    timing: Timing,
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        folder.append(case("a"), record("a"), timing)
    lines = [line for name in FILES for line in (folder.path / name).read_text().split("\n") if line]
    written = {key for text in [*lines, (folder.path / RUN).read_text()] for key in keys(json.loads(text))}
    assert sorted(written - documented()) == []


def test_every_field_of_a_stream_is_documented(tmp_path: Path) -> None:
    (tmp_path / SESSION).mkdir()
    write_facts(tmp_path, SavedSession(Origin("e", "b", "w", "s"), 0, 1, "", "", "", {}))
    lines = [
        (tmp_path / SESSION / FACTS).read_bytes(),
        step_line(
            StepRecord(
                0, 1, ("a",), {}, distractors=False, seconds=0.5, peak_memory_bytes=None, memory="rss", state_bytes=None
            )
        ),
        state_line(StateRecord(1, None, None, 0.0, None, finite=True, collapsed=None)),
        ability_line(AbilityRecord(1, 0, "s", "r", 1, 0, (AnswerRecord(id="i", text="t", exact=True, starts=True),))),
    ]
    written = {key for line in lines for key in keys(json.loads(line))}
    assert sorted(written - documented()) == []


def documented() -> set[str]:
    return set(re.findall(r"`(\w+)`", DOCUMENT.read_text()))
