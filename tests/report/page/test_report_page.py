"""The report as text: its figures are those of the table, and what could not be read is told."""

import base64
import gzip
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from page_kit import EVIL, folder_of, write_results

from mmke.errors import UserError
from mmke.report.cells import read_cells
from mmke.report.charts import collection
from mmke.report.page import report
from mmke.report.page.gather import STYLE_TAG, gather
from mmke.report.page.report import make_report
from mmke.report.table import rounded


class _Cells(HTMLParser):
    """The tables of figures of a page: the texts of their cells, line by line, with the exact values."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[tuple[str, str | None]]]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append(("", about.get("data-value")))
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            text, value = self.tables[-1][-1][-1]
            self.tables[-1][-1][-1] = (text + data, value)


def tables_of(page: str) -> list[list[list[tuple[str, str | None]]]]:
    parser = _Cells()
    parser.feed(page)
    return parser.tables


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="text/plain" id="data">([^<]*)</script>', page)
    assert found is not None
    plain: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return plain


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plots, which cost a second and are not looked at."""
    monkeypatch.setattr(collection, "OF_A_BLOCK", {})
    monkeypatch.setattr(report, "plots_of_block", lambda *_: ())


@pytest.mark.usefixtures("no_plots")
def test_every_figure_is_one_of_the_table(tmp_path: Path) -> None:
    out = write_results(tmp_path / "results")
    plain = {cell.editor: rounded(cell.as_dict()) for cell in read_cells(out, by=STYLE_TAG)}
    headline, more, *_ = tables_of(make_report(gather([out]), version="0"))
    labels = {"T-Loc": "t_loc", "I-Loc": "i_loc", "T-Rel": "t_rel", "I-Rel": "i_rel", "I-Gen": "i_gen", "Port": "port"}
    seen = 0
    for table in (headline, more):
        names = [text for text, _ in table[0]]
        for line in table[1:]:
            cell = plain[line[0][0].split()[0]]
            for name, (text, value) in zip(names, line, strict=True):
                metric = labels.get(name, name.replace("I-Gen[", "i_gen["))
                if metric not in cell["metrics"]:
                    continue
                figure = cell["metrics"][metric]
                seen += 1
                assert (None if not value else round(float(value), 6)) == figure["value"]
                told = re.findall(r"[+−]?\d+\.\d", text)
                wanted = [figure["value"], figure["se"]]
                wanted += [figure["gain"], figure["gain_se"]] if cell["editor"] != "none" else []
                assert [float(each.replace("−", "-")) for each in told] == [
                    round(x, 1) for x in wanted if x is not None
                ]
    assert seen == 3 * 8


@pytest.mark.usefixtures("no_plots")
def test_the_data_of_the_browser_are_the_rows(tmp_path: Path) -> None:
    out = write_results(tmp_path / "results")
    data = data_of(make_report(gather([out]), version="0"))
    assert len(data["records"]) == 9
    record = next(
        each for each in data["records"] if data["runs"][each["run"]]["editor"] == "ike" and each["case"] == 1
    )
    row = next(each for each in record["rows"] if each[1] == "i_rel")
    assert row[2:4] == [0.875, 0.25]
    after = record["answers"][row[5]]
    assert (data["texts"][after["text"]], after["right"]) == ("edited says 4 of land 1", "1111")
    moved = next(each for each in record["rows"] if each[1] == "t_loc")
    assert moved[7] == "1000"
    assert data["texts"][data["cases"][1]["edits"][0]["to"]] == EVIL
    assert [picture["src"][:22] for picture in data["pictures"]] == ["data:image/webp;base64"]


@pytest.mark.usefixtures("no_plots")
def test_a_malicious_record_is_no_markup_outside_the_packed_data(tmp_path: Path) -> None:
    out = write_results(tmp_path / "results", benchmark=EVIL)
    page = make_report(gather([out]), version="0")
    assert EVIL not in page
    assert "&lt;/script&gt;" in page
    assert page.count("</script>") == 2


@pytest.mark.usefixtures("no_plots")
def test_broken_and_empty_runs_are_told_and_left_out(tmp_path: Path) -> None:
    out = write_results(tmp_path / "results")
    (folder_of(out, "ike") / "run.json").write_text("{")
    lost = out / "lost"
    shutil.copytree(folder_of(out, "ft-llm"), lost)
    (lost / "run.json").unlink()
    gathered = gather([out])
    assert [run.run["editor"] for run in gathered.runs] == ["none", "ft-llm"]
    assert [line.partition(":")[0] for line in gathered.left_out] == [str(lost), str(folder_of(out, "ike"))]
    assert "Left out: " in make_report(gathered, version="0")


@pytest.mark.usefixtures("no_plots")
def test_an_unfinished_run_is_shown_and_says_so(tmp_path: Path) -> None:
    out = write_results(tmp_path / "results", used=6)
    assert "unfinished: 3 of 6 records" in make_report(gather([out]), version="0")


@pytest.mark.usefixtures("no_plots")
def test_fewer_records_and_no_pictures_make_a_smaller_page_that_says_what_is_missing(tmp_path: Path) -> None:
    out = write_results(tmp_path / "results")
    data = data_of(make_report(gather([out]), version="0", pictures=False, most=1))
    assert (len(data["cases"]), len(data["records"]), data["left"]) == (1, 3, 6)
    assert data["pictures"] == [{"name": "flag.png", "why": "pictures were left out (--pictures none)"}]


@pytest.mark.usefixtures("no_plots")
def test_a_picture_that_changed_is_not_shown(tmp_path: Path) -> None:
    out = write_results(tmp_path / "results")
    (tmp_path / "results-pictures" / "flag.png").write_bytes(b"another")
    data = data_of(make_report(gather([out]), version="0"))
    assert data["pictures"] == [{"name": "flag.png", "why": "the file is not the one that the run read"}]


@pytest.mark.usefixtures("no_plots")
def test_two_folders_are_compared_record_by_record(tmp_path: Path) -> None:
    folders = [write_results(tmp_path / "a", gain=0.0), write_results(tmp_path / "b", gain=0.25)]
    page = make_report(gather(folders), version="0")
    compared = next(table for table in tables_of(page) if table[0][1][0] == "What")
    lines = {line[0][0]: line for line in compared[1:]}
    labels = [text for text, _ in compared[0]]
    # Value in b − value in a of each record: ft-llm 25 points each; ike 50, 50, and 1 − (0.25 + 0.25).
    assert lines["ft-llm"][labels.index("I-Rel")][0] == "+25.0 ±0.0"
    assert lines["ike"][labels.index("I-Rel")][0] == "+50.0 ±0.0"
    assert lines["none"][labels.index("I-Rel")][0] == "+0.0 ±0.0"
    assert lines["ike"][1][0] == "b − a"


@pytest.mark.usefixtures("no_plots")
def test_unscored_questions_and_how_it_was_run_are_told(tmp_path: Path) -> None:
    page = make_report(gather([write_results(tmp_path / "results")]), version="0")
    unscored = next(table for table in tables_of(page) if table[0][2][0] == "Reason")
    assert [text for text, _ in unscored[1]][1:] == ["port", "no question of hop 1", "9", "none, ft-llm, ike"]
    assert "mmke run --limit 3" in page
    assert "Locality counts where the most probable token stays the same." in page
    assert "a processor" in page


def test_the_same_results_give_the_same_bytes(tmp_path: Path, no_plots: None) -> None:
    out = write_results(tmp_path / "results")
    assert make_report(gather([out]), version="0") == make_report(gather([out]), version="0")


def test_no_results_are_a_mistake_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        gather([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="no results to report"):
        gather([tmp_path])


def test_the_unedited_model_alone_is_told_as_such(tmp_path: Path) -> None:
    page = make_report(gather([write_results(tmp_path / "results", editors=("none",), cases=1)]), version="1")
    assert "The unedited model, 1 record each, protocol strict." in page
