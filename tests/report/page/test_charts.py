"""The plots of a report: their marks stand at the table's figures, and files are what they are called."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_kit import write_results
from stream_kit import FLAT, write_stream

from mmke.cli import main
from mmke.errors import UserError
from mmke.report.charts.collection import names_of, plots_of_block, plots_of_streams
from mmke.report.charts.files import write_plots
from mmke.report.charts.intervals import clipped, interval
from mmke.report.charts.look import COLOURS, EDITORS, PAGE, PAPER, SHAPES, altair, places, to_svg
from mmke.report.charts.placing import WIDE, place
from mmke.report.charts.tradeoff import tradeoff
from mmke.report.page.blocks import Block, blocks_of
from mmke.report.page.gather import gather


@pytest.fixture
def block(tmp_path: Path) -> Block:
    (found,) = blocks_of(gather([write_results(tmp_path / "results")]))
    return found


def rows_of(chart: Any) -> Iterator[dict[str, Any]]:
    """Yield the data of all marks of a chart."""
    plain = chart.to_dict()
    stack: list[Any] = [plain]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            if isinstance(part.get("values"), list) and all(isinstance(each, dict) for each in part["values"]):
                yield from part["values"]
            stack += list(part.values())
        elif isinstance(part, list):
            stack += part


def test_the_interval_is_students(tmp_path: Path) -> None:
    # t of 5 degrees of freedom at 0.975 is 2.5706 (any table of the distribution).
    assert interval(50.0, 10.0, 6) == pytest.approx((50 - 25.706, 50 + 25.706), abs=1e-3)
    assert clipped(95.0, 10.0, 6) == {"low": pytest.approx(95 - 25.706, abs=1e-3), "high": 100.0}
    assert interval(50.0, 10.0, 1) is None
    assert interval(50.0, None, 6) is None


def test_marks_stand_at_the_figures_of_the_table(block: Block) -> None:
    plots = {plot.name.rpartition("-")[2]: plot for plot in plots_of_block(block, names_of([block]), PAGE)}
    assert set(plots) == {"tradeoff", "profile", "cost", "styles"}
    cells = {line.name: line.cell for line in block.lines}
    shown = [row for chart in plots["profile"].charts for row in rows_of(chart) if "column" in row]
    assert {(row["name"], row["column"]) for row in shown} == {
        (name, column) for name in cells for column in block.labels if column != "port"
    }
    assert all(row["v"] == cells[row["name"]].metrics[row["column"]].value for row in shown)
    pairs = [row for chart in plots["tradeoff"].charts[1:] for row in rows_of(chart) if row.get("name") in cells]
    assert {(row["name"], row["x"], row["y"]) for row in pairs} == {
        (name, cell.metrics["i_rel"].value, cell.metrics["i_loc"].value) for name, cell in cells.items()
    }
    costs = [row for row in rows_of(plots["cost"].charts[0]) if "gain" in row]
    assert {(row["name"], row["gain"], row["seconds"]) for row in costs} == {
        (name, cell.metrics["i_rel"].gain, cell.seconds_per_edit) for name, cell in cells.items() if name != "none"
    }


def test_an_editor_has_the_same_colour_in_every_report(tmp_path: Path) -> None:
    def colours(*editors: str) -> dict[str, str]:
        out = write_results(tmp_path / "-".join(editors), editors=("none", *editors), cases=2)
        (found,) = blocks_of(gather([out]))
        layers = tradeoff(altair(), found, names_of([found]), PAGE)[0].to_dict()["layer"]
        scale = next(layer["encoding"]["color"]["scale"] for layer in layers if "color" in layer["encoding"])
        return dict(zip(scale["domain"], scale["range"], strict=True))

    one, other = colours("ft-llm", "ike"), colours("ike", "serac")
    assert one["ike"] == other["ike"]
    assert len({*one.values(), *other.values()}) == 3


def test_editors_that_are_not_known_take_the_colours_that_are_left() -> None:
    first = len(EDITORS)
    assert places(["own", "ke", "another", "ft-llm"]) == [first, 4, first + 1, 1]
    assert places(["ike (seed 0)", "ike (seed 1)"]) == [2, first]
    more = [f"own {number}" for number in range(len(COLOURS) - first)]
    assert sorted(places([*EDITORS, *more])) == list(range(len(COLOURS))) == list(range(len(SHAPES)))


def test_names_of_points_in_one_place_lie_apart() -> None:
    names = ["ft-llm", "ft-alignment", "ike-random", "serac", "mend"]
    placed = place([(50.0, 0.0)] * 5, names, width=300, height=200, size=10)
    boxes = [(spot.x, spot.x + WIDE * 10 * len(name), spot.y) for spot, name in zip(placed, names, strict=True)]
    for number, (left, right, middle) in enumerate(boxes):
        assert 0 <= left < right <= 300
        for other_left, other_right, other in boxes[:number]:
            assert right <= other_left or other_right <= left or abs(middle - other) >= 10


def test_an_absent_library_is_told_in_one_line(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UserError, match=r"plots need vl_convert: pip install 'mmke\[report\]'"):
        list(plots_of_block(block, [], PAGE))


def test_one_name_does_not_do_for_several_plots(tmp_path: Path) -> None:
    gathered = gather([write_results(tmp_path / "results")])
    with pytest.raises(UserError, match="is one file, and there are 4 plots"):
        write_plots(gathered, tmp_path / "all.svg", "svg")


def test_streams_of_two_folders_have_curves_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_stream(tmp_path / name)
        write_stream(tmp_path / name, FLAT, editor="none")
    plots = list(plots_of_streams(gather([tmp_path / "a", tmp_path / "b"]).streams, PAGE))
    assert [plot.name.partition("-")[0] for plot in plots] == ["a", "a", "b", "b"]
    assert [plot.name.rpartition("-")[2] for plot in plots] == ["forgetting", "ages"] * 2
    curve = [row for row in rows_of(plots[0].charts[0]) if "told" in row and row["editor"] == "ft-llm"]
    # M(1) = 0.9 of case a; M(2) = mean of 0.6 and 0.8; M(3) = mean of 0.5, 0.7 and 1.0; see `ORACLE`.
    assert {row["x"]: round(row["y"], 4) for row in curve} == {1: 90.0, 2: 70.0, 3: 73.3333}


@pytest.mark.slow
def test_a_picture_tells_its_values_and_loads_nothing(block: Block) -> None:
    plot = next(plots_of_block(block, names_of([block]), PAPER))
    svg = to_svg(plot.charts[0])
    assert "<title>ike: T-Rel 87.5 per cent" in svg
    assert "href=" not in svg
    assert "style=" not in svg  # the page's policy would not let it act


@pytest.mark.slow
@pytest.mark.parametrize(("form", "begin"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_plots_alone_are_files_of_their_form(tmp_path: Path, form: str, begin: bytes) -> None:
    out = write_results(tmp_path / "results", cases=2)
    assert main(["report", str(out), "--format", form, "--out", str(tmp_path / "plots")]) == 0
    files = sorted((tmp_path / "plots").iterdir())
    assert [file.suffix for file in files] == [f".{form}"] * 4
    assert all(file.read_bytes().startswith(begin) for file in files)


@pytest.mark.slow
def test_the_command_writes_a_page_of_a_real_run(
    tmp_path: Path, small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--backbone", "tiny-llava", "--benchmark", "mmke-user", "--data", str(small_data), "--limit", "2"]
    given += ["--editor", "ft-llm", "--set", "ft-llm.steps=1", "--generate", "--out", str(tmp_path / "results")]
    assert main(["run", *given]) == 0
    assert main(["report", str(tmp_path / "results"), "-o", str(tmp_path / "page.html")]) == 0
    assert "2 runs; open it in a browser" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") > 10
    assert "Does the edit also show when the model writes by itself?" in page
