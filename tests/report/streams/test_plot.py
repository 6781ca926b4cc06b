"""The picture of forgetting curves."""

import builtins
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stream_kit import FLAT, ORACLE

from mmke.errors import UserError
from mmke.report.streams.plot import save_plot, spread
from mmke.report.streams.summaries import StreamSummary, read_streams

WriteStream = Callable[..., Path]


@pytest.fixture
def streams(tmp_path: Path, write_stream: WriteStream) -> list[StreamSummary]:
    write_stream(FLAT, editor="none", kinds=("i_rel", "port"))
    for seed in (0, 1):
        for editor in ("ft-llm", "ike"):
            write_stream(ORACLE, editor=editor, order_seed=seed, kinds=("i_rel", "port"))
    return read_streams(tmp_path / "smol-llava")


def test_an_svg_names_every_line_and_panel_and_says_what_the_band_is(
    tmp_path: Path, streams: list[StreamSummary]
) -> None:
    file = tmp_path / "made" / "curves.svg"
    save_plot(streams, file)
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", file.read_text())
    assert [texts.count(name) for name in ("none", "ft-llm", "ike", "I-Rel", "Port")] == [2, 2, 2, 1, 1]
    assert "T-Loc" not in texts
    assert any("band: range over 2 orders; dashed: unedited model" in text for text in texts)
    assert any(text.startswith("smol-llava on mini-entity") for text in texts)


def test_a_png_has_a_white_ground_for_dark_pages(tmp_path: Path, streams: list[StreamSummary]) -> None:
    save_plot(streams, tmp_path / "curves.png", columns=["i_rel"])
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_gaps_are_drawn_by_gap(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream({"a": (1, {1: 0.9, 3: 0.4}), "b": (2, {2: 0.8, 4: 0.2})}, score="right,gap:2")
    save_plot(read_streams(tmp_path), tmp_path / "gaps.svg", curve="gaps")
    assert "further edits after the case" in (tmp_path / "gaps.svg").read_text()
    with pytest.raises(UserError, match="no stream has a curve by checkpoint to draw"):
        save_plot(read_streams(tmp_path), tmp_path / "x.svg")


@pytest.mark.parametrize(
    ("name", "columns", "told"),
    [
        ("curves.pdf", [], r"curves.pdf: give a name that ends in .svg or .png"),
        ("curves.svg", ["i_rle"], r"no column 'i_rle'; did you mean 'i_rel'\?; there are i_rel, port"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, streams: list[StreamSummary], name: str, columns: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        save_plot(streams, tmp_path / name, columns=columns)
    assert not (tmp_path / name).exists()


def test_without_the_library_the_command_that_installs_it_is_told(
    tmp_path: Path, streams: list[StreamSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def importing(name: str, *rest: Any) -> Any:
        if name == "altair":
            raise ModuleNotFoundError("no", name="altair")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(UserError, match=r"plots need altair: pip install 'mmke\[report\]'"):
        save_plot(streams, tmp_path / "curves.svg")


@pytest.mark.parametrize("heights", [[10.0, 10.0, 10.0], [98.0, 99.0, 100.0], [0.0, 50.0, 100.0], [5.0] * 20])
def test_names_keep_their_order_and_lie_apart(heights: list[float]) -> None:
    found = spread(heights, 100.0)
    gap = min(7.0, 100 / (len(heights) - 1))
    assert all(high - low >= gap - 1e-9 for low, high in pairwise(found))
    assert min(found) >= -1e-9
    assert max(found) <= 100.0
