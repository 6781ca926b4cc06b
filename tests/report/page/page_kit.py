"""Results folders with answers and pictures, written by the code that runs write them with; no model is loaded."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from mmke.metrics.accuracy import Accuracy
from mmke.results import v1
from mmke.results.folder import open_run
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.places import run_path
from mmke.results.timings import Timing
from mmke.types import PROTOCOLS, Ask, Edit, EditCase, ImageRef, Probe, Query, ScoreRow, StoredAnswer

KINDS = ("t_loc", "i_loc", "t_rel", "i_rel", "i_gen", "port")
EVIL = "</script><img src=https://example.org/x onerror=alert(1)>"
"""What a record may hold; a page shows it as text."""
TARGET = (5, 6, 7, 8)
"""Token ids of every gold answer."""


def write_results(
    out: Path,
    *,
    editors: Sequence[str] = ("none", "ft-llm", "ike"),
    cases: int = 3,
    benchmark: str = "mini-entity",
    gain: float = 0.25,
    used: int | None = None,
) -> Path:
    """Write the runs of several editors, and return the folder.

    Args:
        out: the results folder.
        editors: of each a run.
        cases: records of each.
        benchmark: its name.
        gain: by how much each editor stands above the one before it, in shares of 1.
        used: how many records the start was to go over.
    """
    picture = out.parent / f"{out.name}-pictures" / "flag.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (300, 200), "teal").save(picture)
    for number, editor in enumerate(editors):
        settings = _settings(editor, benchmark)
        facts = RunFacts(used or cases, (), ("/usr/bin/mmke", "run", "--limit", "3"), tuple(v1.KINDS.values()))
        with open_run(out, settings, facts) as folder:
            for index in range(cases):
                case = _case(index, picture)
                timing = Timing({"edit": 0.5 * number, "before": 0.0, "after": 0.0}, 2**30 * (1 + number), "rss")
                folder.append(case, _rows(case, index, number, gain=gain, floor=number == 0), timing)
    return out


def folder_of(out: Path, editor: str, benchmark: str = "mini-entity") -> Path:
    """Return the folder of one run."""
    return run_path(out, _settings(editor, benchmark))


def _case(index: int, picture: Path) -> EditCase:
    image = ImageRef(picture, hashlib.sha256(picture.read_bytes()).hexdigest())
    target = EVIL if index == 1 else f"the flag of land {index}"
    edit = Edit(Query("Which flag is this?", image), target, "an old flag")
    styles = {"i_gen": {"rephrase_style": ("held-out", "trained")[index % 2]}}
    probes = tuple(
        Probe(
            v1.KINDS[kind],
            Query(f"Question {kind} {index}?", image if kind[0] == "i" else None),
            target,
            styles.get(kind, {}),
        )
        for kind in KINDS[:-1]
    )
    return EditCase(f"case-{index}", (edit,), probes, {v1.KINDS["port"]: "no question of hop 1"})


def _rows(case: EditCase, index: int, number: int, *, gain: float, floor: bool) -> list[ScoreRow]:
    found = []
    for place, probe in enumerate(case.probes):
        locality = "locality" in probe.kind.role
        right = min(1 + number + (index if gain else 0), 4)
        base, said = _answer(1, index, "base" if locality else "floor"), _answer(right, index, "edited")
        value = (
            (1.0 if floor else 1 - index / 4)
            if locality
            else 0.25
            if floor
            else min(0.25 + number * gain + index / 8, 1.0)
        )
        row = _row(case, place, probe.kind.name, value, None if locality else 0.25)
        found.append(replace(row, before=base, after=said))
    return [*found, replace(_row(case, None, "port", None, None), reason="no question of hop 1", n_scored=0)]


def _row(case: EditCase, place: int | None, kind: str, value: float | None, floor: float | None) -> ScoreRow:
    return ScoreRow(case.id, place, kind, kind, 1, value, floor, 4, None, {}, None, None)


def _answer(right: int, index: int, model: str) -> StoredAnswer:
    ids = (*TARGET[:right], *(99,) * (4 - right))
    return StoredAnswer(f"{model} says {right} of land {index}", ids, -1.0, TARGET, ask=Ask(), model=model)


def _settings(editor: str, benchmark: str) -> RunSettings:
    return RunSettings(
        backbone="smol-llava",
        editor=editor,
        benchmark=benchmark,
        hop=1,
        switches=PROTOCOLS["strict"],
        settings={"steps": 40, "sites": ["language.-1.mlp_in"]} if editor != "none" else {},
        metrics=(Accuracy(Ask()),),
        generate=False,
        seed=0,
        dtype="float32",
        device_type="cpu",
        device="a processor",
        data_revision="d",
        weights_revision="w",
    )
