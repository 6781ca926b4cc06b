"""The file of a grid: what it comes to, what is wrong with it, and a part of it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mmke.errors import UserError
from mmke.grid.expand import Place, Run, expand
from mmke.grid.file import find, read, shipped
from mmke.grid.only import narrowed

NAMES = 'backbones = ["tiny-llava"]\neditors = ["ft-llm"]\nbenchmarks = ["mmke-user"]\n'


def runs(name: str, *only: str) -> list[Run]:
    whole = read(find(name))
    return expand(whole, narrowed(whole, only), Place())


def test_the_published_table_is_54_cells_and_9_floors_behind_27_trainings() -> None:
    cells = [cell for run in runs("published") for cell in run.cells()]
    backbones = ("llava-1.5-7b", "minigpt4-7b", "blip2-opt-2.7b")
    editors = ("none", "ft-llm", "ft-alignment", "ike", "serac", "mend", "ke")
    benchmarks = ("mmke-entity", "mmke-visual", "mmke-user")
    wanted = [(b, d, 1, "paper", 0, e, "single", None) for b in backbones for d in benchmarks for e in editors]
    assert cells == wanted
    trainings = [(t.backbone, t.benchmarks, t.editor) for run in runs("published") for t in run.trainings.values()]
    assert trainings == [(b, (d,), e) for b in backbones for d in benchmarks for e in ("serac", "mend", "ke")]


def test_the_mini_grid_trains_on_all_benchmarks_together() -> None:
    found = runs("mini", "benchmark=mini-user", "backbone=smol-minigpt4")
    assert [run.trainings["mend"].benchmarks for run in found] == [("mini-entity", "mini-visual", "mini-user")]
    assert [run.request.limit for run in found] == [6]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_grid_that_comes_along_can_be_read(name: str) -> None:
    assert runs(name)


def test_a_part_cuts_axes_and_adds_values_of_one_axis() -> None:
    chosen = runs("published", "backbone=llava-1.5-7b", "editor=ike", "editor=ke", "benchmark=mmke-user")
    assert [(run.request.backbone, run.request.editors, run.request.benchmarks) for run in chosen] == [
        ("llava-1.5-7b", ("ike", "ke"), ("mmke-user",))
    ]


def test_axes_multiply_and_streams_stand_beside(tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text(
        f"{NAMES}hops = [1, 0]\nprotocols = ['strict', 'paper']\nseeds = [0, 1, 2]\n"
        "[[streams]]\ntests = 3\norder_seeds = [0, 1]\neditors = ['ft-llm', 'ike-random']\n"
    )
    whole = read(file)
    found = expand(whole, whole, Place())
    assert len(found) == 2 * 12  # 2 hops x 2 protocols x 3 seeds, single edits and a stream each
    schedules = Counter((cell.schedule, cell.editor) for run in found for cell in run.cells())
    singles = {("single", "none"): 12, ("single", "ft-llm"): 12}
    assert schedules == singles | {
        ("stream 1", "none"): 12,
        ("stream 1", "ft-llm"): 24,
        ("stream 1", "ike-random"): 24,
    }


def test_settings_reach_requests_and_trainings(small_grid: Path, runs_of: Callable[..., list[Run]]) -> None:
    run = runs_of(small_grid)[0]
    assert run.request.changes["ft-llm"] == {"steps": 2}
    assert run.trainings["mend"].changes["rank"] == 4
    assert run.trainings["mend"].out.parts[-2:] == ("checkpoints", "strict")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("backbones = 3", "backbones = 3: give a list, in brackets"),
        (f"{NAMES}limit = '3'", "limit = '3': give a whole number"),
        (f"{NAMES}hops = [1, 9]", "hops[2] = 9: give a number up to 4"),
        (f"{NAMES}hops = []", "hops = []: name at least one"),
        (f"{NAMES}protocols = ['papre']", "protocols: unknown protocol 'papre'; there are"),
        (f"{NAMES}edittors = []", "edittors: unknown key; did you mean 'editors'?"),
        (f"{NAMES}[training]\nons = 'all'", "training.ons: unknown key; did you mean 'on'?"),
        (f"{NAMES}[training]\non = 'some'", "training.on = 'some': give 'each' or 'all'"),
        (f"{NAMES}[settings.mendd]\nrank = 3", "settings.mendd: the grid does not use it; it uses ft-llm"),
        (f"{NAMES}[weights]\ntiny-lava = 'x'", "weights.tiny-lava: the grid does not use it; did you mean"),
        (f"{NAMES}[[streams]]\npreset = 'turn'", "streams[1]: --preset turn: there is none; did you mean 'turns'?"),
        (f"{NAMES}[[streams]]\npreset = 'memeic'", "mmke-user is not divided; name mmke-user@split"),
        (f"{NAMES}single = false", "single = false: then nothing is run"),
        (NAMES.replace("ft-llm", "ft-lm"), "editors: unknown editor 'ft-lm'; did you mean 'ft-llm'?"),
        (f"{NAMES}probes = 'soft'", "probes = 'soft': give one of published, hard, all"),
        ("backbones = [", "(at end of document)"),
    ],
)
def test_a_mistake_names_the_file_the_key_the_value_and_the_way_out(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read(file)
    assert str(file) in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("only", "told"),
    [
        ("editor", "is not of the form AXIS=VALUE"),
        ("editr=ike", "unknown axis 'editr'; did you mean 'editor'?"),
        ("editor=ikee", "the grid has no editor 'ikee'; did you mean 'ike'?"),
        ("hop=2", "the grid has no hop '2'; it has 1"),
    ],
)
def test_a_part_that_is_not_there_is_refused(only: str, told: str) -> None:
    with pytest.raises(UserError, match="--only") as caught:
        runs("published", only)
    assert told in str(caught.value)


def test_a_grid_that_is_not_there_is_refused_with_the_names_of_those_that_are() -> None:
    with pytest.raises(UserError, match=r"did you mean 'published'\?; mmke brings mini, published"):
        find("publishd")
