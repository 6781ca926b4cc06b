"""What each tracker is sent of a results folder. W&B and Trackio are stood in for by what their documentation says."""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from stream_kit import FLAT, write_stream
from tensorboardX.proto.event_pb2 import Event

from mmke import cli, registry
from mmke.errors import UserError
from mmke.trackers.protocol import Tracked, Tracker
from mmke.trackers.reading import read_tracked
from mmke.trackers.sending import open_tracker, track


@pytest.fixture
def folder(tmp_path: Path, row: Callable[..., Any], write_run: Callable[..., Path]) -> Path:
    """Two runs and a stream."""
    for editor, value in (("none", 0.25), ("ft-llm", 0.75)):
        write_run([[row("i_rel", value, 0.25), row("t_loc", 1.0)]], editor=editor, out=tmp_path / "out")
    write_stream(tmp_path / "out")
    write_stream(tmp_path / "out", FLAT, editor="none")
    return tmp_path / "out"


def named(runs: list[Tracked]) -> dict[str, Tracked]:
    return {run.name: run for run in runs}


RUN = "ft-llm smol-llava mini-entity 1 strict"


def test_a_run_is_its_figures_with_gains_and_what_it_was_run_with(folder: Path) -> None:
    run = named(read_tracked([folder]))[RUN]
    assert (run.summary["i_rel"], run.summary["gain/i_rel"], run.summary["records"]) == (75.0, 50.0, 1.0)
    assert "gain/t_loc" not in run.summary
    assert [(point.step, point.figures) for point in run.points] == [(1, run.summary)]
    assert {"backbone", "switches", "device", "versions", "data_revision"} <= run.config.keys()
    assert run.group == "smol-llava mini-entity 1 strict"


def test_a_stream_is_its_curves_by_the_edits_in_the_model(folder: Path) -> None:
    (stream,) = (run for run in read_tracked([folder]) if run.config["schedule"] != "single" and "ft-llm" in run.name)
    assert [point.step for point in stream.points] == [1, 2, 3]
    assert stream.points[0].figures == {"i_rel": pytest.approx(90.0)}
    assert stream.summary["final/i_rel"] == pytest.approx(100 * (0.5 + 0.7 + 1.0) / 3)
    assert stream.summary["gain/right/i_rel"] == pytest.approx(stream.summary["right/i_rel"] - 10.0)


def test_the_same_run_has_the_same_id_and_another_another(folder: Path) -> None:
    first, again = read_tracked([folder]), read_tracked([folder])
    assert [run.id for run in first] == [run.id for run in again]
    assert len({run.id for run in first}) == len(first) == 4


def events(file: Path) -> list[Event]:
    """Read an event file as its format is documented: length, its checksum, an event, its checksum."""
    content, found = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        found.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return found


def test_tensorboard_has_one_file_a_run_also_when_it_is_sent_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert cli.main(["track", str(folder), "--to", "tensorboard"]) == 0
    place = folder / "tensorboard" / RUN.replace(" ", "-")
    assert str(place) in capsys.readouterr().out.splitlines()
    (file,) = place.iterdir()
    shown = {(event.step, value.tag): value.simple_value for event in events(file) for value in event.summary.value}
    assert shown[1, "curve/i_rel"] == shown[1, "summary/i_rel"] == 75.0
    assert len(read_tracked([folder])) == 4  # what was written is not taken for a run


class FakeWandb(ModuleType):
    """What the tracker uses of W&B, by its documentation."""

    class Error(Exception):
        pass

    Settings = SimpleNamespace

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: list[Any] = []
        self.logged_in, self.broken = True, False

    def login(self, *, prompt: bool, verify: bool) -> bool:
        assert not prompt
        return self.logged_in

    def init(self, *, dir: str, settings: Any, **about: Any) -> Any:  # noqa: A002
        if self.broken:
            raise self.Error("no\nroute")
        run = SimpleNamespace(about=about, logged=[], summary={}, url="https://w.example/run", offline=False, ended=0)
        run.log = lambda figures, *, step: run.logged.append((step, figures))
        run.finish = lambda: setattr(run, "ended", run.ended + 1)
        self.runs.append(run)
        return run


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return fake


def test_wandb_gets_a_run_with_its_settings_curves_and_summary(folder: Path, wandb: FakeWandb) -> None:
    seen = track(open_tracker("wandb", project="mine", folder=folder), [folder])
    assert seen == ["https://w.example/run"] * 4
    (run,) = (run for run in wandb.runs if run.about["name"] == RUN)
    assert (run.about["project"], run.about["resume"], run.ended) == ("mine", "allow", 1)
    assert run.about["config"]["editor"] == "ft-llm"
    assert run.summary["gain/i_rel"] == 50.0
    assert [step for step, _ in run.logged] == [1]


def test_without_a_key_wandb_is_told_before_anything_is_sent(folder: Path, wandb: FakeWandb) -> None:
    wandb.logged_in = False
    with pytest.raises(UserError, match="has no key: wandb login, or WANDB_API_KEY, or WANDB_MODE=offline"):
        open_tracker("wandb", folder=folder)


def test_offline_wandb_needs_no_key(folder: Path, wandb: FakeWandb, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb.logged_in = False
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert isinstance(open_tracker("wandb", folder=folder), Tracker)


def test_what_wandb_refuses_is_one_line(folder: Path, wandb: FakeWandb) -> None:
    wandb.broken = True
    with pytest.raises(UserError, match=r"^wandb: '.*' was not sent: no route$"):
        track(open_tracker("wandb", folder=folder), [folder])


def test_trackio_gets_curves_and_the_summary_as_last_figures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []
    fake = SimpleNamespace(
        init=lambda **about: told.append(("init", about)),
        log=lambda figures, *, step: told.append(("log", (step, figures))),
        finish=lambda: told.append(("finish", None)),
    )
    monkeypatch.setitem(sys.modules, "trackio", fake)
    seen = track(open_tracker("trackio", project="mine", folder=folder), [folder])
    assert f"trackio show --project mine: {RUN}" in seen
    begins = [place for place, (what, _) in enumerate(told) if what == "init"]
    one = next(told[place : place + 3] for place in begins if told[place][1]["name"] == RUN)
    assert [what for what, _ in one] == ["init", "log", "finish"]
    assert one[1][1][0] == 1
    assert one[1][1][1]["gain/i_rel"] == 50.0


@pytest.mark.parametrize("name", sorted(registry.names("trackers")))
def test_a_package_that_is_not_installed_is_one_line_with_its_extra(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("tensorboardX", "wandb", "trackio"):
        monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(["track", str(folder), "--to", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"pip install 'mmke[{name}]'")


def test_a_run_that_is_to_be_tracked_says_so_before_weights_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    tiny = ["run", "--backbone", "tiny-llava", "--benchmark", "mini-entity", "--limit", "1", "--out", str(tmp_path)]
    assert cli.main([*tiny, "--track", "wandb"]) == 2
    out, err = capsys.readouterr()
    assert "pip install 'mmke[wandb]'" in err
    assert "tiny-llava on" not in out


@pytest.mark.slow
def test_a_run_and_a_stream_are_tracked_at_their_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--backbone", "tiny-llava", "--benchmark", "mini-entity", "--editor", "ft-llm", "--out", str(tmp_path)]
    tracked = ["--track", "tensorboard", "--set", "ft-llm.steps=1"]
    assert cli.main(["run", *tiny, "--limit", "1", *tracked]) == 0
    assert cli.main(["stream", *tiny, "--tests", "2", *tracked]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("tensorboard: ")]
    assert len(told) == 4
    assert len(list((tmp_path / "tensorboard").iterdir())) == 4


def test_no_trackers_package_is_imported_unless_it_is_asked_for(folder: Path) -> None:
    program = (
        f"import sys; from mmke import cli; code = cli.main(['table', {str(folder)!r}]); "
        "sys.exit(code or any(name in sys.modules for name in ('wandb', 'trackio', 'tensorboardX')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == 0
