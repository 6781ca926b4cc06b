"""A run divided into shards, each in a folder of its own, and put together: the bytes of one process."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from grid import first_quick
from mmke.errors import UserError
from mmke.report.cells import read_cells
from mmke.report.table import render
from mmke.results.merging import merge
from mmke.results.run_json import read_run
from mmke.results.shard import Shard
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.running.stream_settings import StreamSettings

ONE = {"ft-llm": {"steps": 2}}
TWO = {**ONE, "ike-random": {"demonstrations": 2}}
SAME = ("rows.jsonl", "answers.jsonl", "cases.jsonl", "states.jsonl", "session.json")
CELL = Path("tiny-llava/mmke-entity/hop1/strict/seed0")


class Divided(NamedTuple):
    """A request, the folder of its whole run, and those of its shards."""

    request: Request
    whole: Path
    parts: list[Path]


def request_of(data: Path, folder: Path, changes: dict[str, dict[str, int]]) -> Request:
    return Request("tiny-llava", tuple(changes), ("mmke-entity",), changes=changes, data=data, out=folder / "whole")


def files(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for name in SAME for file in sorted(out.rglob(name))}


def shard(request: Request, number: int, of: int) -> Path:
    """Run one shard, and return its folder."""
    out = request.out.with_name(f"part-{number}")
    run(plan(replace(request, out=out, shard=Shard(number, of))))
    return out


def divided(request: Request, of: int) -> list[Path]:
    return [shard(request, number, of) for number in range(1, of + 1)]


@pytest.fixture(scope="module")
def once(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Divided:
    request = request_of(small_data, tmp_path_factory.mktemp("once"), ONE)
    run(plan(request))
    return Divided(request, request.out, divided(request, 2))


@pytest.fixture
def copied(once: Divided, tmp_path: Path) -> Callable[[], list[Path]]:
    def copy() -> list[Path]:
        return [Path(shutil.copytree(part, tmp_path / part.name)) for part in once.parts]

    return copy


def test_the_parts_together_are_the_bytes_of_one_process(once: Divided, tmp_path: Path) -> None:
    merge(once.parts[::-1], tmp_path / "merged")
    assert files(tmp_path / "merged") == files(once.whole)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_three_parts_are_the_bytes_of_one_process(small_data: Path, tmp_path: Path, protocol: str) -> None:
    request = replace(request_of(small_data, tmp_path, TWO), protocol=protocol)
    run(plan(request))
    merge(divided(request, 3), tmp_path / "merged")
    assert files(tmp_path / "merged") == files(request.out)


@pytest.mark.slow
def test_streams_are_dealt_out_whole_and_put_together(small_data: Path, tmp_path: Path) -> None:
    stream = StreamSettings(tests=3, score="right,end")
    request = replace(request_of(small_data, tmp_path, TWO), stream=stream, order_seeds=(0, 1))
    run(plan(request))
    parts = divided(request, 3)
    assert sum(len(plan(replace(request, shard=Shard(number, 3))).cells) for number in (1, 2, 3)) == 8
    merge(parts, tmp_path / "merged")
    assert files(tmp_path / "merged") == files(request.out)
    run(plan(replace(request, out=tmp_path / "merged")))
    assert files(tmp_path / "merged") == files(request.out)


@pytest.mark.slow
def test_what_was_merged_goes_on_as_a_whole_run_that_has_nothing_to_do(once: Divided, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    merge(once.parts, out)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    run(plan(replace(once.request, out=out)))
    assert {file: file.read_bytes() for file in before} == before


def test_what_was_merged_keeps_the_starts_of_all_parts(once: Divided, tmp_path: Path) -> None:
    merge(once.parts, tmp_path / "merged")
    told = read_run(tmp_path / "merged" / CELL / "ft-llm")
    assert told is not None
    assert [start["shard"] for start in told["history"]] == [{"number": 1, "of": 2}, {"number": 2, "of": 2}]
    assert "shard" not in told["records"]
    assert told["records"]["wanted"] == 4


def test_merging_again_changes_nothing(once: Divided, tmp_path: Path) -> None:
    assert merge(once.parts, tmp_path / "merged").new
    assert not merge(once.parts, tmp_path / "merged").new
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_a_merge_that_was_killed_leaves_nothing_half(
    once: Divided, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mmke.results.merging.save_run", killed)
        patched.setattr("mmke.results.merging.shutil.rmtree", lambda *_, **__: None)  # as if it had had no time
        with pytest.raises(KeyboardInterrupt):
            merge(once.parts, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    merge(once.parts, tmp_path / "merged")
    assert files(tmp_path / "merged") == files(once.whole)
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_a_missing_part_is_named(once: Divided, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 shard of 2 missing: 1/2"):
        merge(once.parts[1:], tmp_path / "merged")


def test_a_part_named_twice_is_refused(once: Divided, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are both shard 1/2"):
        merge([*once.parts, once.parts[0]], tmp_path / "merged")


def test_a_whole_run_is_no_part(once: Divided, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds a whole run"):
        merge([once.whole, *once.parts], tmp_path / "merged")


def test_an_unfinished_part_is_named_with_how_far_it_is(copied: Callable[[], list[Path]], tmp_path: Path) -> None:
    parts = copied()
    rows = parts[1] / CELL / "ft-llm" / "rows.jsonl"
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:-1]))
    shutil.rmtree(parts[1] / CELL / "none")
    with pytest.raises(UserError) as raised:
        merge(parts, tmp_path / "merged")
    assert f"shard 2/2 ({parts[1]}) has 1 of 2 records of {CELL}/ft-llm" in str(raised.value)
    assert f"shard 2/2 ({parts[1]}) has not begun {CELL}/none" in str(raised.value)


def test_a_part_of_other_settings_is_refused_with_the_difference(
    copied: Callable[[], list[Path]], tmp_path: Path
) -> None:
    parts = copied()
    file = parts[1] / CELL / "ft-llm" / "run.json"
    file.write_text(file.read_text().replace('"steps": 2', '"steps": 9'))
    with pytest.raises(UserError, match=r"settings.steps: shard 1/2 has 2, shard 2/2 9"):
        merge(parts, tmp_path / "merged")


def test_records_that_differ_between_parts_are_refused(copied: Callable[[], list[Path]], tmp_path: Path) -> None:
    parts = copied()
    names = ("cases.jsonl", "answers.jsonl", "timings.jsonl", "rows.jsonl")
    cells = [part / CELL / "none" for part in parts]
    for name in names:
        with (cells[1] / name).open("ab") as file:
            file.write((cells[0] / name).read_bytes())
    merge(parts, tmp_path / "merged")  # the same records twice
    rows = cells[1] / "rows.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b'"n_scored":', b'"n_scored":1'))
    with pytest.raises(UserError, match="is another in shard 1/2"):
        merge(parts, tmp_path / "again")


def test_merging_into_a_folder_with_something_else_is_refused(once: Divided, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files already"):
        merge(once.parts, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_merging_into_a_file_is_refused(once: Divided, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is a file; choose a new folder"):
        merge(once.parts, tmp_path / "notes.txt")


def test_merging_into_a_part_is_refused(once: Divided) -> None:
    with pytest.raises(UserError, match="choose a folder beside the parts"):
        merge(once.parts, once.parts[0] / "merged")


@pytest.mark.parametrize("other", first_quick([None, Shard(1, 2), Shard(2, 3)]))
def test_a_shard_is_not_continued_as_anything_else(once: Divided, other: Shard | None) -> None:
    with pytest.raises(UserError, match="holds shard 2/2 of a run, and this is"):
        run(plan(replace(once.request, out=once.parts[1], shard=other)))


def test_a_whole_run_is_not_continued_as_a_shard(once: Divided) -> None:
    with pytest.raises(UserError, match="holds a whole run, and this is shard 1/2 of a run"):
        run(plan(replace(once.request, shard=Shard(1, 2))))


@pytest.mark.slow
def test_a_cell_that_was_copied_elsewhere_still_says_that_it_is_a_part(once: Divided, tmp_path: Path) -> None:
    shutil.copytree(once.parts[0] / CELL, tmp_path / CELL)
    with pytest.raises(UserError, match="holds shard 1/2 of a run, and this is a whole run"):
        run(plan(replace(once.request, out=tmp_path)))


def test_the_table_of_a_shard_says_that_it_is_a_part(once: Divided) -> None:
    assert "a part of a run, shard 1/2" in render(read_cells(once.parts[0]), "text")
    assert "a part of a run" not in render(read_cells(once.whole), "text")


@pytest.mark.slow
def test_an_empty_shard_is_merged_like_the_others(once: Divided, tmp_path: Path) -> None:
    request = replace(once.request, editors=("none",), changes={}, limit=1, out=tmp_path / "whole")
    parts = divided(request, 2)
    assert not list(parts[1].rglob("run.json"))
    assert merge(parts, tmp_path / "merged").records == {f"{CELL}/none": 1}
