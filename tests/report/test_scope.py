"""How wide edits reach, and what a gate decided."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmke.benchmarks.probes.hard import KINDS
from mmke.errors import UserError
from mmke.report.scope import Gate, Shares, read_scopes
from mmke.report.scope_table import render_scopes
from mmke.types import ScoreRow

Row = Callable[..., ScoreRow]
GATED = {"accepted": 1, "chosen": 1}


@pytest.fixture
def case(row: Row) -> Callable[..., list[ScoreRow]]:
    """Return the rows of a case by its gain of I-Rel, how far it reaches in scope, and its hard locality."""

    def make(gain: float, inside: float, out: float | None) -> list[ScoreRow]:
        rows = [row("i_rel", 0.25 + gain, 0.25, kind="i_rel"), row("i_gen", inside, 0.0, kind="i_gen")]
        return [*rows, *(row(kind, out, kind=kind) for kind in ("ri_picture", "ni_partner", "ci_picture"))]

    return make


def test_edits_that_took_are_divided_into_four(
    case: Callable[..., list[ScoreRow]], write_run: Callable[..., Path], tmp_path: Path
) -> None:
    right, narrow, wide, both = (0.5, 0.5, 0.9), (0.5, 0.49, 0.95), (0.75, 0.6, 0.85), (0.5, 0.0, 0.0)
    not_taken, without = (0.49, 1.0, 1.0), (0.75, 1.0, None)
    write_run([case(*each) for each in (right, right, narrow, wide, both, not_taken, without)], kinds=KINDS)
    (scope,) = read_scopes(tmp_path)
    assert (scope.n, scope.cases, scope.editor, dict(scope.gates)) == (5, 7, "ft-llm", {})
    assert scope.shares == (
        Shares(0.9, right=40.0, narrow=20.0, wide=20.0, both=20.0),
        Shares(0.8, right=60.0, narrow=20.0, wide=0.0, both=20.0),
    )


def test_out_of_a_case_is_the_mean_of_the_groups_that_it_has(
    case: Callable[..., list[ScoreRow]], row: Row, write_run: Callable[..., Path], tmp_path: Path
) -> None:
    unheard = [row("ri_picture", 1.0, kind="ri_picture"), row("ni_partner", None, kind="ni_partner")]
    inside = case(0.75, 0.6, None)[:2]
    write_run([[*inside, *unheard, row("ci_picture", 0.7, kind="ci_picture")], inside], kinds=KINDS)
    (scope,) = read_scopes(tmp_path)
    assert (scope.n, scope.cases) == (1, 2)
    assert [(each.limit, each.right, each.wide) for each in scope.shares] == [(0.9, 0.0, 100.0), (0.8, 100.0, 0.0)]


def test_a_gates_decisions_by_kind(row: Row, write_run: Callable[..., Path], tmp_path: Path) -> None:
    def asked(kind: str, **notes: int) -> list[ScoreRow]:
        # Two metrics of one answer are one decision.
        return [row(metric, 1.0, 0.0, kind=kind, notes=notes) for metric in (kind, f"{kind}_other")]

    def numbered(*rows: list[ScoreRow]) -> list[ScoreRow]:
        return [each for some in rows for each in some]

    kinds = ("i_rel", "ci_picture")
    records = [
        numbered(*(asked(kind, **GATED) for kind in kinds)),
        numbered(*(asked(kind, accepted=1, chosen=0) for kind in kinds)),
        numbered(*(asked(kind, accepted=0) for kind in kinds)),
    ]
    write_run(records, kinds=KINDS)
    gates = read_scopes(tmp_path)[0].gates
    assert gates["i_rel"].right_edit == 50.0
    assert gates["i_rel"].false_rejections == pytest.approx(100 / 3)
    assert gates["i_rel"].false_acceptances is None
    assert gates["ci_picture"].accepted == gates["ci_picture"].false_acceptances == pytest.approx(200 / 3)
    assert (gates["ci_picture"].right_edit, gates["ci_picture"].false_rejections) == (None, None)
    assert isinstance(gates["ci_picture"], Gate)


@pytest.fixture
def folder(row: Row, case: Callable[..., list[ScoreRow]], write_run: Callable[..., Path], tmp_path: Path) -> Path:
    gated = [row("i_rel", 1.0, 0.0, kind="i_rel", notes=GATED)]
    write_run([case(0.5, 0.5, 0.9), case(0.0, 0.5, 0.9)], kinds=KINDS, editor="ft-llm")
    write_run([[*case(0.5, 0.5, 0.85)[1:], *gated]], kinds=KINDS, editor="serac")
    write_run([[row("t_rel", 1.0, 0.0)]], editor="ike")
    return tmp_path


def test_a_table_says_the_limits(folder: Path) -> None:
    text = render_scopes(read_scopes(folder), "text")
    lines = [line.split() for line in text.splitlines()]
    assert ["ft-llm", "100.0", "0.0", "0.0", "0.0", "100.0", "0.0", "0.0", "0.0", "1", "2"] in lines
    assert ["i_rel", "100.0", "100.0", "0.0", "–", "1"] in lines
    assert "out ≥ the limit in the heading" in text
    assert "right 90%" in text
    assert "ike" not in text
    for form in ("latex", "markdown"):
        assert "serac" in render_scopes(read_scopes(folder), form)


def test_programs_get_every_figure(folder: Path) -> None:
    plain: list[dict[str, Any]] = json.loads(render_scopes(read_scopes(folder), "json"))
    assert [each["editor"] for each in plain] == ["ft-llm", "serac"]
    assert plain[0]["shares"][0] == {"limit": 0.9, "right": 100.0, "narrow": 0.0, "wide": 0.0, "both": 0.0}
    lines = list(csv.DictReader(io.StringIO(render_scopes(read_scopes(folder), "csv"))))
    assert {line["figure"] for line in lines if line["kind"] == "i_rel"} == {
        "accepted",
        "right_edit",
        "false_rejections",
    }
    assert (
        next(line["value"] for line in lines if line["figure"] == "wide_0.9" and line["editor"] == "serac") == "100.0"
    )


def test_results_without_hard_locality_are_told(row: Row, write_run: Callable[..., Path], tmp_path: Path) -> None:
    write_run([[row("t_rel", 1.0, 0.0)]])
    with pytest.raises(UserError, match=r"no results of hard locality below .*--probes all"):
        read_scopes(tmp_path)
