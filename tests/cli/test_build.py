"""`mmke build` as a user meets it: what it prints, what it refuses in one line, and that it can be stopped anywhere."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kit import make_project

from mmke import cli
from mmke.build.content import Verdict
from mmke.build.project import open_project
from mmke.build.protocols import Outcome
from mmke.build.records import records
from mmke.cli.build import _told

OWN = Path(__file__).parents[2] / "examples" / "own-pictures" / "things"

Mmke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mmke(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mmke:
    """Run `mmke build …` in an empty folder, and return its exit code and what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(["build", *map(str, words)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def birds(mmke: Mmke, tmp_path: Path) -> Path:
    """Return a new project with the example's pictures of birds."""
    mmke("new", "birds", "--source", "folder")
    shutil.copytree(OWN, tmp_path / "birds" / "things")
    return tmp_path / "birds"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused(answer: tuple[int, str, str]) -> str:
    code, _, error = answer
    assert code == 2
    assert error.count("\n") == 1, "a mistake is told in one line"
    return error


@pytest.mark.slow
def test_stage_by_stage_is_the_same_as_all_at_once(mmke: Mmke, birds: Path, tmp_path: Path) -> None:
    shutil.copytree(birds, tmp_path / "other")
    assert mmke("run", "birds")[0] == 0
    nexts = []
    for stage in ("collect", "write", "ask"):
        code, told, _ = mmke(stage, "other")
        assert code == 0
        nexts.append(told.splitlines()[-1])
    assert nexts == ["next: mmke build write other", "next: mmke build ask other", "next: mmke build check other"]
    mine, other = contents(birds), contents(tmp_path / "other")
    del mine[".lock"], other[".lock"]
    assert mine == other
    assert mmke("check", "other") == (0, "10 records: the rules find nothing\n", "")


def test_a_second_run_does_nothing_and_a_new_bird_adds_its_own(mmke: Mmke, birds: Path) -> None:
    mmke("run", "birds")
    before = contents(birds)
    told = mmke("run", "birds")[1]
    assert told.splitlines()[0] == "collect: 0 new, 30 kept"
    after = contents(birds)
    assert {name for name in after if after[name] != before.get(name)} <= {".lock"}
    table = birds / "things" / "things.csv"
    table.write_text(table.read_text().replace("mice", "voles"))
    told = mmke("run", "birds")[1]
    assert told.splitlines()[0].startswith("collect: 1 new, 29 kept")
    assert " 10 kept" not in told


def test_a_finding_is_told_by_record_rule_and_place(mmke: Mmke, tmp_path: Path) -> None:
    folder = make_project(tmp_path / "made", count=2)
    with open_project(folder) as project:
        entry = next(iter(project.questions))
        first, *others = entry.content.questions
        told = first.model_copy(update={"text": f"Is it {first.plan.answer}?"})
        content = entry.content.model_copy(update={"questions": (told, *others)})
        project.questions.put(entry.id, content, sources=(), by={}, inputs="x")
    code, text, _ = mmke("check", "made")
    assert code == 2
    assert f"entity/flag/aland: t_rel_1.question: it says its answer, {first.plan.answer!r}" in text
    found = json.loads(mmke("check", "made", "--format", "json")[1])
    assert {
        "record": "entity/flag/aland",
        "rule": "answer-not-in-question",
        "place": "t_rel_1.question",
    }.items() <= next(each for each in found if each["rule"] == "answer-not-in-question").items()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "nothing"], "nothing is no project: it has no build.toml (mmke build new DIR makes one)"),
        (["new", "x", "--kind", "visual"], "'visual' is not one of 'entity', 'semantic', 'user'"),
        (["new", "x", "--source", "wikidat"], "unknown source 'wikidat'; did you mean 'wikidata'"),
        (["new", "birds"], "birds/build.toml is there already; edit it, or choose another folder"),
        (["new", "x", "--name", "a/b"], "no benchmark can be called 'a/b'"),
        (["rum", "birds"], "No such command 'rum'"),
        (["export", "birds"], "mmke build export needs --to OUT"),
        (["verify", "birds"], "there is no record yet; mmke build run birds makes them"),
        (["report", "birds"], "there is no record yet; mmke build run birds makes them"),
        (["check", "birds", "--backbone", "smol-lava"], "unknown backbone 'smol-lava'; did you mean 'smol-llava'?"),
        (["write", "birds"], "mmke build collect birds comes first"),
        (["ask", "birds"], "mmke build write birds comes first"),
    ],
)
def test_mistakes_of_the_command_line(mmke: Mmke, birds: Path, words: list[str], told: str) -> None:
    assert told in refused(mmke(*words))


def test_a_project_without_pictures(mmke: Mmke, birds: Path) -> None:
    shutil.rmtree(birds / "things" / "bird")
    assert "things" in refused(mmke("run", "birds"))


def test_a_thing_without_facts_is_left_out_and_the_others_go_on(mmke: Mmke, birds: Path) -> None:
    table = birds / "things" / "things.csv"
    table.write_text(
        "\n".join("owl,bird" + "," * 6 if line.startswith("owl") else line for line in table.read_text().splitlines())
    )
    code, told, _ = mmke("run", "birds")
    assert code == 0
    assert "collect: 27 new, 0 kept, 1 left out\n  bird/owl: " in told
    assert "write: 9 new" in told
    (line,) = (birds / "collect.refused.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == "bird/owl"


def test_a_type_with_a_single_thing_has_nothing_to_swap_with(mmke: Mmke, birds: Path) -> None:
    kept = ("name", "owl", "Africa", "Asia", "Europe")
    table = birds / "things" / "things.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(keepends=True) if line.startswith(kept)))
    for other in (birds / "things" / "bird").iterdir():
        if other.name != "owl":
            shutil.rmtree(other)
    (birds / "things" / "pictures.csv").unlink()
    told = refused(mmke("run", "birds"))
    assert "write made nothing" in told
    assert "bird" in told


def test_a_writer_without_a_model_is_told_before_anything_is_collected(mmke: Mmke, birds: Path) -> None:
    settings = birds / "build.toml"
    settings.write_text(settings.read_text().replace('writer = "templates"', 'writer = "llm"'))
    assert "model" in refused(mmke("run", "birds"))
    assert not (birds / "things.jsonl").exists()


def test_a_project_is_one_programs_at_a_time(mmke: Mmke, birds: Path) -> None:
    program = "import sys, time; from mmke.build.project import open_project\n"
    program += (
        f"with open_project(__import__('pathlib').Path({str(birds)!r})): print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        assert f"process {holder.pid} works on this project; wait for it or end it" in refused(mmke("run", "birds"))
        holder.kill()
    assert mmke("run", "birds")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["entity", "semantic", "user"])
def test_a_build_that_is_killed_again_and_again_ends_with_the_same_bytes(mmke: Mmke, tmp_path: Path, kind: str) -> None:
    for name in ("whole", "killed"):
        mmke("new", name, "--kind", kind, "--name", "built")
    began = time.monotonic()
    assert mmke("run", "whole")[0] == 0
    seconds = time.monotonic() - began
    command = [sys.executable, "-m", "mmke.cli", "build", "run", "killed"]
    for n, ending in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL), start=1):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            time.sleep(0.5 + n * seconds / 5)
            running.send_signal(ending)
    assert mmke("run", "killed")[0] == 0
    whole, killed = contents(tmp_path / "whole"), contents(tmp_path / "killed")
    del whole[".lock"], killed[".lock"]
    assert whole == killed


def test_control_characters_of_a_source_never_reach_the_terminal() -> None:
    outcome = Outcome(1, 0, {"bird/\x1b[31mowl": "red\u202e"}, notes=("a\x07b",))
    assert "\x1b" not in _told("collect", outcome, Path("x"))
    assert _told("collect", outcome, Path("x")).splitlines()[1:] == ["  bird/\ufffd[31mowl: red\ufffd", "  a\ufffdb"]


def test_what_an_export_leaves_out_is_all_in_the_file_that_is_named(
    mmke: Mmke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmke.cli.build.TOLD", 2)
    with open_project(make_project(tmp_path / "made", double=0.0)) as project:
        there = records(project)
        for record in there[::2]:
            verdict = Verdict(
                record=record.id, content=record.content, annotator="Ana", turn="first", decision="accept"
            )
            project.verdicts.put(f"key of {record.id}", verdict, sources=(), by={}, inputs=record.content)
    code, told, _ = mmke("export", "made", "--to", "out")
    assert code == 0
    assert "  … and 1 more, all of them in made/export.refused.jsonl" in told
    lines = (tmp_path / "made" / "export.refused.jsonl").read_text().splitlines()
    assert {json.loads(line)["id"] for line in lines} == {record.id for record in there[1::2]}
    assert mmke("export", "made", "--to", "out", "--unverified")[0] == 0
    assert not (tmp_path / "made" / "export.refused.jsonl").exists()
