"""Folders of the first format, as a real run wrote them, still give the tables that its version made of them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mmke.errors import UserError
from mmke.report.cells import read_cells
from mmke.report.table import render
from mmke.results.finished import read_cases, read_finished
from mmke.results.timings import TIMINGS

V1 = Path(__file__).with_name("v1")
FT = Path("smol-llava/mini-entity/hop1/strict/ft-llm")


def table(out: Path, by: str | None = None) -> list[dict[str, Any]]:
    """Return the table as the first version printed it: of macro averages, without what came later."""
    cells = [cell for cell in json.loads(render(read_cells(out, by=by), "json")) if cell.pop("average") == "macro"]
    for cell in cells:
        del cell["seed"]
        for figure in cell["metrics"].values():
            del figure["n_partial"]
    return cells


@pytest.mark.parametrize(("by", "file"), [(None, "table"), ("rephrase_style", "table-by-rephrase_style")])
def test_a_table_is_what_the_first_version_made_of_it(by: str | None, file: str) -> None:
    assert table(V1, by) == json.loads((V1 / f"{file}.json").read_text())


def test_ke_under_paper_comes_as_published_too() -> None:
    cells = [cell for cell in read_cells(V1) if cell.editor == "ke"]
    assert [(cell.average, cell.as_published) for cell in cells] == [("micro", True), ("macro", False)]
    rows = [row for record in read_finished(V1 / "smol-llava/mini-entity/hop1/paper/ke") for row in record.rows]
    scored = [row for row in rows if row.metric == "i_rel"]
    right = sum((row.value or 0) * row.n_scored for row in scored)
    assert cells[0].metrics["i_rel"].value == pytest.approx(100 * right / sum(row.n_scored for row in scored), abs=1e-4)


def test_rows_come_back_with_what_was_said_and_asked() -> None:
    record = read_finished(V1 / FT)[0]
    first = record.rows[0]
    assert (record.case_id, first.metric, first.floor) == ("entity-00000", "recall", 0.232558)
    assert first.after is not None
    assert first.after.text.startswith("This is the flag of Iceland.")
    probe = read_cases(V1 / FT)["entity-00000"].case.probes[0]
    assert (probe.query.text, probe.tags["subject"]) == ("What is shown in the image?", "flag of Kenya")


def test_a_copy_without_timings_is_read(tmp_path: Path) -> None:
    shutil.copytree(V1 / FT, tmp_path / FT)
    (tmp_path / FT / TIMINGS).unlink()
    (cell,) = read_cells(tmp_path)
    assert (cell.n, cell.seconds_per_edit) == (2, None)


def test_a_record_cut_short_is_passed_over_and_one_before_it_is_refused(tmp_path: Path) -> None:
    shutil.copytree(V1 / FT, tmp_path / FT)
    rows = tmp_path / FT / "rows.jsonl"
    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(lines[:-1]))
    assert [record.case_id for record in read_finished(tmp_path / FT)] == ["entity-00000"]
    rows.write_bytes(b"".join(lines[1:]))
    with pytest.raises(UserError, match=r"line 1: record 'entity-00000' has 29 of its 30 rows"):
        read_finished(tmp_path / FT)
