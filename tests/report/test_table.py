"""The five forms of a table."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmke.errors import UserError
from mmke.report.cells import CellSummary, read_cells
from mmke.report.figures import Scale, figures
from mmke.report.published import KINDS as HEADLINE_KINDS
from mmke.report.table import render
from mmke.results.v1 import COLUMNS, KINDS
from mmke.types import ScoreRow

Row = Callable[..., ScoreRow]


@pytest.fixture
def cells(row: Row, scale: Scale) -> list[CellSummary]:
    """The floor and one editor over two records, the second without a portability question."""

    def cell(editor: str, low: float) -> CellSummary:
        first = [row(kind, low, 0.25, kind=kind) for kind in HEADLINE_KINDS]
        second = [row(kind, 1.0, 0.25, kind=kind) for kind in HEADLINE_KINDS[:-1]]
        more = [row("port", None, kind="port", probe=None), row("t_loc_kl", 0.125, kind="t_loc")]
        return CellSummary(
            backbone="smol_llava",
            editor=editor,
            benchmark="mini-entity",
            hop=1,
            protocol="strict",
            seed=0,
            average="macro",
            n=2,
            dropped=1,
            seconds_per_edit=0.123456789,
            peak_memory_bytes=3 * 2**29,
            metrics=figures([first, second + more], scale),
            scale=scale,
            memory="rss",
            reasons={"port": {"no 1-hop question": 1}},
        )

    return [cell("none", 0.25), cell("ft-llm", 0.5)]


def published_cell(**about: object) -> CellSummary:
    plain: dict[str, object] = {
        "backbone": "llava-1.5-7b",
        "editor": "ft-llm",
        "benchmark": "mmke-entity",
        "hop": 1,
        "protocol": "paper",
        "seed": 0,
        "average": "macro",
        "scale": Scale(KINDS, COLUMNS),
        "n": 0,
        "dropped": 0,
        "seconds_per_edit": None,
        "peak_memory_bytes": None,
        "metrics": {},
    }
    return CellSummary(**plain | about)  # type: ignore[arg-type]


def test_text_says_protocol_hop_and_unit_and_puts_the_floor_first(cells: list[CellSummary]) -> None:
    title, header, _, floor, editor, *_ = render(cells, "text").splitlines()
    assert title == "smol_llava on mini-entity, hop 1, protocol strict: per cent ± standard error over records"
    assert header.split() == [
        "editor",
        "T-Loc",
        "I-Loc",
        "T-Rel",
        "I-Rel",
        "I-Gen",
        "Port",
        "n",
        "dropped",
        "s/edit",
        "peak",
        "memory",
    ]
    assert re.split(r" {2,}", floor)[:2] == ["none", "62.5 ±37.5"]
    assert re.split(r" {2,}", editor) == [
        "ft-llm",
        *["75.0 ±25.0"] * 5,
        "50.0",
        *["2", "1", "0.12", "1.5 GiB rss"],
    ]


def test_text_columns_are_aligned(cells: list[CellSummary]) -> None:
    lines = render(cells, "text", every_metric=True).splitlines()[1:5]
    assert len({len(line) for line in lines}) == 1


def test_unscored_records_are_told_once_for_editors_alike(cells: list[CellSummary]) -> None:
    assert render(cells, "text").splitlines()[-1] == (
        "  unscored records: Port 1 of 2 (none, ft-llm): no 1-hop question"
    )


def test_every_metric_adds_columns_and_says_which_are_nats(cells: list[CellSummary]) -> None:
    assert "t_loc_kl" not in render(cells, "text")
    text = render(cells, "text", every_metric=True)
    assert "t_loc_kl" in text.splitlines()[1]
    assert "0.125" in text
    assert "in nats, not per cent: t_loc_kl" in text


def test_a_figure_that_is_undefined_is_a_dash() -> None:
    line = render([published_cell()], "text").splitlines()[3]
    assert line.split() == ["ft-llm", *["–"] * 6, "0", "0", "–", "–"]


def test_json_is_the_list_of_cells(cells: list[CellSummary]) -> None:
    plain = json.loads(render(cells, "json"))
    assert [cell["editor"] for cell in plain] == ["none", "ft-llm"]
    assert list(plain[1]) == [
        "backbone",
        "editor",
        "benchmark",
        "hop",
        "protocol",
        "n",
        "dropped",
        "seconds_per_edit",
        "peak_memory_bytes",
        "metrics",
        "seed",
        "average",
    ]
    assert plain[1]["metrics"]["port"] == {
        "value": 50.0,
        "se": None,
        "gain": 25.0,
        "gain_se": None,
        "n": 1,
        "n_unscored": 1,
        "n_partial": 0,
    }
    assert plain[1]["seconds_per_edit"] == 0.123457


def test_csv_has_one_line_per_metric_with_the_figures_of_the_json(cells: list[CellSummary]) -> None:
    lines = list(csv.DictReader(io.StringIO(render(cells, "csv"))))
    plain = json.loads(render(cells, "json"))
    assert len(lines) == sum(len(cell["metrics"]) for cell in plain)
    for line in lines:
        cell = next(cell for cell in plain if cell["editor"] == line["editor"])
        figure = cell["metrics"][line["metric"]]
        assert {key: line[key] for key in figure} == {k: "" if v is None else str(v) for k, v in figure.items()}
        assert line["unit"] == ("nats" if line["metric"] == "t_loc_kl" else "per cent")
        assert line["records"] == "2"


def test_latex_escapes_what_has_a_meaning_and_has_as_many_cells_as_columns(cells: list[CellSummary]) -> None:
    odd = [published_cell(backbone=r"a_b&c%d$e#f{g}h~i^j\k", benchmark="x–y")]
    text = render([*cells, *odd], "latex", every_metric=True)
    assert r"a\_b\&c\%d\$e\#f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k on x--y" in text
    assert not re.search(r"(?<!\\)[#$%_~^]", text)
    tables = re.findall(r"\\begin\{tabular\}\{(lr+)\}(.*?)\\end\{tabular\}", text, flags=re.DOTALL)
    assert len(tables) == 2
    for columns, body in tables:
        counts = {len(re.findall(r"(?<!\\)&", line)) for line in body.splitlines() if line.endswith(r"\\")}
        assert counts == {len(columns) - 1}
    assert text.isascii()


def test_latex_braces_and_environments_are_balanced(cells: list[CellSummary]) -> None:
    text = render(cells, "latex")
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1


def test_markdown_lines_have_as_many_cells_as_the_header(cells: list[CellSummary]) -> None:
    lines = [line for line in render(cells, "markdown").splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({line.count(" | ") for line in lines}) == 1
    assert "**smol\\_llava on" in render(cells, "markdown")


def test_an_unknown_format_is_an_error_naming_the_known_ones(cells: list[CellSummary]) -> None:
    with pytest.raises(UserError, match="unknown format 'html'; there are text, markdown, latex, json, csv"):
        render(cells, "html")


def test_the_published_row_stands_beneath_ours() -> None:
    lines = render([published_cell()], "text", published=True).splitlines()
    assert lines[4].split() == ["published", "77.71", "17.58", "53.89", "49.54", "49.30", "41.23"]
    assert "no published" not in "\n".join(lines)


def test_the_camera_ready_revision_is_the_one_shown() -> None:
    table = json.loads((Path(sys.modules["mmke.report"].__file__ or "").parent / "published.json").read_text())
    rows = [
        row["revision"]
        for row in table["single_edit"]
        if (row["type"], row["backbone"], row["editor"], row["t_loc"]) == ("entity", "LLaVA-1.5", "FT-LLM", 77.71)
    ]
    assert rows == ["camera-ready"]


def test_doubtful_published_rows_are_marked_with_the_reason() -> None:
    doubted = published_cell(backbone="blip2-opt-2.7b", benchmark="mmke-visual", editor="mend")
    text = render([doubted], "text", published=True)
    assert "published?  97.37" in text
    assert "published? (mend): doubtful, identical to the submission row" in text
    assert json.loads(render([doubted], "json", published=True))[0]["published"]["doubtful"].startswith("identical")


def test_a_cell_without_a_published_figure_says_so(cells: list[CellSummary]) -> None:
    assert "no published figure for smol_llava on mini-entity" in render(cells, "text", published=True)
    assert json.loads(render(cells, "json", published=True))[0]["published"] is None
    both = [published_cell(editor="none"), published_cell()]
    assert "no published figure for none (llava-1.5-7b on mmke-entity)" in render(both, "text", published=True)


def test_figures_of_another_protocol_or_hop_are_not_passed_off_as_published() -> None:
    strict = render([published_cell(protocol="strict")], "text", published=True)
    assert "published figures follow protocol paper; ours here follow strict" in strict
    assert "no published figure for llava-1.5-7b on mmke-entity at hop 2" in render(
        [published_cell(hop=2)], "text", published=True
    )


@pytest.mark.parametrize("backbone", ["llava-1.5-7b", "minigpt4-7b", "blip2-opt-2.7b"])
@pytest.mark.parametrize("knowledge", ["entity", "visual", "user"])
def test_every_published_cell_is_found(backbone: str, knowledge: str) -> None:
    editors = ("ft-llm", "ft-alignment", "ike", "serac", "mend", "ke")
    cells = [published_cell(backbone=backbone, benchmark=f"mmke-{knowledge}", editor=editor) for editor in editors]
    found = json.loads(render(cells, "json", published=True))
    assert all(cell["published"]["figures"].keys() == set(HEADLINE_KINDS) for cell in found)


def test_csv_carries_published_figures_per_metric(row: Row) -> None:
    scale = Scale(KINDS, COLUMNS)
    cell = published_cell(metrics=figures([[row("port", 0.5, kind="port"), row("port_em", 0.5, kind="port")]], scale))
    lines = list(csv.DictReader(io.StringIO(render([cell], "csv", published=True))))
    assert [(line["metric"], line["published"]) for line in lines] == [("port", "41.23"), ("port_em", "")]


def test_a_table_is_made_without_torch(tmp_path: Path, row: Row, write_run: Callable[..., Path]) -> None:
    write_run([[row("t_rel", 0.5)]])
    program = (
        "import sys, pathlib; from mmke.report.cells import read_cells; from mmke.report.table import render; "
        "assert 'ft-llm' in render(read_cells(pathlib.Path(sys.argv[1])), 'text'); "
        "sys.exit(bool({'torch', 'transformers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 0


def test_a_break_down_by_tag_shows_beside_its_metric(tmp_path: Path, row: Row, write_run: Callable[..., Path]) -> None:
    write_run([[row("i_gen", 0.5)]], tags={"style": "held-out"})
    header = render(read_cells(tmp_path, by="style"), "text").splitlines()[1]
    assert re.search(r"I-Gen +I-Gen\[held-out\] +Port", header)
