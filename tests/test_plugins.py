"""Editors of other packages that are broken: named in one line when they are asked for, and in nobody else's way."""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmke import registry
from mmke.cli import main
from mmke.errors import BrokenPluginError, UserError
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run

GOOD = '''
"""An editor of another package."""

from contextlib import contextmanager

from mmke.editors.none.edit import NullEditor


def make(settings, switches, *, train, seed):
    return NullEditor(name="mine")
'''
FAILS = """
from mmke.editors.none.edit import NullEditor

class Session:
    def __init__(self, session):
        self.session = session
    def apply(self, edits):
        {apply}
    def answer(self, probes, ask):
        return self.session.answer(probes, ask){cut}
    def module(self):
        return self.session.module()
    def state(self):
        return self.session.state()
    def load_state(self, state):
        self.session.load_state(state)

class Mine(NullEditor):
    @contextmanager
    def open(self, backbone, store):
        with super().open(backbone, store) as session:
            yield Session(session)
"""
BROKEN = {
    "imports nothing": ("import torch.nosuchthing\n", "needs the Python package 'torch.nosuchthing'"),
    "own AttributeError": ("import math\n\nmath.nosuch\n", "AttributeError: module 'math' has no attribute 'nosuch'"),
    "no Python": ("def make(:\n", "SyntaxError: invalid syntax"),
    "no factory": ("makes = 1\n", "mine.edit has no 'make'"),
    "no callable": ("make = 1\n", "mine.edit has no 'make'"),
    "another signature": ("def make(settings):\n    return 1\n", "called as make(settings, switches, *, train, seed)"),
    "factory fails": (GOOD.replace("return", "train.nosuch; return"), "AttributeError: 'tuple' object has no"),
    "no editor": ("def make(*_, **__):\n    return []\n", "returned a list that lacks check"),
}
"""What the module holds, and what is told."""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a package `mine` with an editor `mine`."""

    def install(
        code: str, *, settings: str | None = "", init: str = "", name: str = "mine", group: str = "editors"
    ) -> None:
        package, metadata = tmp_path / "mine", tmp_path / "mine_editor-1.0.dist-info"
        package.mkdir()
        metadata.mkdir()
        (package / "__init__.py").write_text(init)
        (package / "edit.py").write_text(code)
        if settings is not None:
            (package / "mine.toml").write_text(settings)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-editor\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[mmke.{group}]\n{name} = mine.edit:make\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    yield install
    for module in [module for module in sys.modules if module.partition(".")[0] == "mine"]:
        del sys.modules[module]


def told(request: Request) -> str:
    with pytest.raises(UserError) as error:
        plan(request)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def request_(small_data: Path, tmp_path: Path) -> Request:
    return Request("tiny-llava", ("mine",), ("mmke-user",), limit=1, data=small_data, out=tmp_path / "out")


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_editor_is_named_in_one_line(
    fault: str, installed: Callable[..., None], request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    code, message = BROKEN[fault]
    installed(code)
    line = told(request_)
    assert line.startswith("editor 'mine' (mine.edit:make, package mine-editor)")
    assert message in line
    assert main(["ls", "editors"]) == 0
    assert "mine" in capsys.readouterr().out


def test_a_place_in_the_package_is_told(installed: Callable[..., None], request_: Request) -> None:
    installed("import json\n\n\nNUMBERS = json.loads('no JSON')\n")
    assert "mine/edit.py, line 4)" in told(request_)


@pytest.mark.parametrize("settings", [None, "steps = "])
def test_settings_that_are_missing_or_broken_are_told(
    settings: str | None, installed: Callable[..., None], request_: Request
) -> None:
    installed(GOOD, settings=settings)
    assert "mine.toml" in told(request_)


def test_an_editor_may_be_one_module_without_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: Request
) -> None:
    metadata = tmp_path / "alone-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: alone\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[mmke.editors]\nmine = mmke_test_alone:make\n")
    (tmp_path / "mmke_test_alone.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert f"no settings file {tmp_path / 'mine.toml'}" in told(request_)
    (tmp_path / "mine.toml").write_text("")
    assert [cell.editor.name for cell in plan(request_).cells] == ["none", "mine"]
    del sys.modules["mmke_test_alone"]


def test_a_package_that_cannot_be_imported_is_told(
    installed: Callable[..., None], request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(GOOD, init="raise RuntimeError('not today')\n")
    assert "RuntimeError: not today" in told(request_)
    assert main(["ls", "editors"]) == 0
    assert "mine          (its package is broken: RuntimeError: not today" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["own AttributeError", "another signature", "no editor"])
def test_other_editors_go_on_without_a_broken_one(
    fault: str, installed: Callable[..., None], request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    installed(BROKEN[fault][0])
    planned = plan(Request(request_.backbone, None, request_.benchmarks, limit=1, data=request_.data, out=request_.out))
    assert {cell.editor.name for cell in planned.cells} >= {"none", "ft-llm", "ike"}
    assert any(
        record.levelname == "WARNING" and "mine: left out (editor 'mine'" in record.getMessage()
        for record in caplog.records
    )


def test_a_name_that_is_taken_is_refused_and_others_go_on(
    installed: Callable[..., None], request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(GOOD, name="ike")
    with pytest.raises(BrokenPluginError, match=r"'ike' is registered twice: by mmke\.editors.*and by mine\.edit:make"):
        registry.import_string("editors", "ike")
    assert registry.factory("editors", "none")
    assert main(["ls"]) == 0


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            FAILS.format(apply="return edits.nosuch", cut=""),
            "editor 'mine' (mine.edit:make, package mine-editor) failed",
        ),
        (FAILS.format(apply="pass", cut="[1:]"), "mine.edit.Session gave"),
    ],
    ids=["apply fails", "too few answers"],
)
def test_an_editor_that_fails_at_work_is_named(
    code: str, message: str, installed: Callable[..., None], request_: Request
) -> None:
    installed(GOOD.replace("return NullEditor", "return Mine") + code)
    planned = plan(request_)
    with pytest.raises(UserError) as error:
        run(planned)
    assert message in str(error.value)


@pytest.mark.parametrize("noun", ["sources", "writers", "rules"])
def test_what_the_builder_takes_from_other_packages_is_listed(
    noun: registry.Noun, installed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    installed('def make(*arguments):\n    """Make something else."""\n    return arguments\n', group=noun)
    assert main(["ls", noun]) == 0
    assert re.search(r"^mine +Make something else\.", capsys.readouterr().out, re.MULTILINE)
    with pytest.raises(BrokenPluginError, match="returned a tuple that lacks"):
        registry.factory(noun, "mine")(*["project"] * (noun != "rules"))


@pytest.mark.parametrize("noun", ["sources", "writers", "rules"])
def test_a_broken_package_of_the_builder_is_told(noun: registry.Noun, installed: Callable[..., None]) -> None:
    installed("import nosuchthing\n", group=noun)
    with pytest.raises(BrokenPluginError, match=rf"^{noun[:-1]} 'mine' \(mine\.edit:make, package mine-editor\)"):
        registry.factory(noun, "mine")


METRIC = '''
from dataclasses import dataclass, field

from mmke.types import Ask, Score


@dataclass(frozen=True)
class Letters:
    """Letters in the answer: in a unit that no metric of this package has."""

    name: str = "letters"
    roles: tuple[str, ...] = ("relation",)
    ask: Ask = Ask()
    reference: str | None = None
    unit: str = "letters"
    higher_is_better: bool = False
    parameters: dict[str, object] = field(default_factory=lambda: {"alphabets": ["latin"]})

    def column(self, kind):
        return f"{kind.name}_letters"

    def score(self, probe, before, after):
        return Score(float(len(after.text)), 1)


def make(switches):
    return [Letters()]
'''


def test_a_run_with_a_metric_of_another_package_is_shown(
    installed: Callable[..., None], request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(METRIC, group="metrics")
    out = str(request_.out)
    where = ["--backbone", "tiny-llava", "--editor", "none", "--benchmark", "mmke-user", "--data", str(request_.data)]
    assert main(["run", *where, "--limit", "1", "--metric", "accuracy", "--metric", "mine", "--out", out]) == 0
    for form in ("text", "json", "csv", "markdown", "latex"):
        assert main(["table", out, "--all", "--format", form]) == 0
    assert "t_rel_letters" in capsys.readouterr().out.replace("\\", "")


def test_a_run_with_settings_of_every_kind_of_toml_is_shown_and_continued(
    installed: Callable[..., None], request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(GOOD, settings="since = 2020-01-31\nlist = [1, [2.5]]\n[nested]\na = {b = true}\n")
    for limit in (1, 2):
        run(plan(replace(request_, limit=limit)))
    assert main(["table", str(request_.out)]) == 0
    assert "mine" in capsys.readouterr().out
