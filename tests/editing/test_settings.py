"""Settings of an editor: which file says what, under which protocol, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmke import registry, renamed
from mmke.editing import settings
from mmke.editing.settings import deviations, layers, resolve, resolve_switches
from mmke.errors import UserError
from mmke.types import PAPER, STRICT

BASE = "steps = 1\nrate = 1.0\n[backbone.small]\nrate = 2.0\nsteps = 2\n"
PUBLISHED = (
    'steps = 3\ndeviations = ["rounds up"]\n[switches]\nreference = "previous edit"\n[backbone.small]\nrate = 4.0\n'
)


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the editor `none` other files."""

    def write(**files: str) -> None:
        for protocol, text in files.items():
            (tmp_path / ("none.toml" if protocol == "base" else f"none.{protocol}.toml")).write_text(text)

    monkeypatch.setattr(settings, "_folder", lambda _editor: tmp_path)
    return write


def test_each_layer_is_laid_over_those_before(ship: Callable[..., None]) -> None:
    ship(base=BASE, paper=PUBLISHED)
    assert resolve("none", "large", {}) == {"steps": 1, "rate": 1.0}
    assert resolve("none", "small", {}) == {"steps": 2, "rate": 2.0}
    assert resolve("none", "large", {}, protocol="paper") == {"steps": 3, "rate": 1.0}
    assert resolve("none", "small", {}, protocol="paper") == {"steps": 3, "rate": 4.0}
    assert resolve("none", "small", {"rate": 5.0}, protocol="paper") == {"steps": 3, "rate": 5.0}


def test_each_layer_names_its_source(ship: Callable[..., None]) -> None:
    ship(base=BASE, paper=PUBLISHED)
    found = {layer.source: dict(layer.values) for layer in layers("none", "small", {"steps": 9}, protocol="paper")}
    assert found == {
        "none.toml": {"steps": 1, "rate": 1.0},
        "none.toml [backbone.small]": {"steps": 2, "rate": 2.0},
        "none.paper.toml": {"steps": 3},
        "none.paper.toml [backbone.small]": {"rate": 4.0},
        "the user's changes": {"steps": 9},
    }


def test_an_editor_may_do_without_a_file_for_the_protocol(ship: Callable[..., None]) -> None:
    ship(base=BASE)
    assert resolve("none", "small", {}, protocol="paper") == resolve("none", "small", {})
    assert resolve_switches(PAPER, "none") == PAPER
    assert deviations("none", "small", "paper") == ()


def test_switches_and_deviations_act_under_their_protocol_alone(ship: Callable[..., None]) -> None:
    ship(base=BASE, paper=PUBLISHED)
    assert resolve_switches(PAPER, "none") == replace(PAPER, reference="previous edit")
    assert resolve_switches(STRICT, "none") == STRICT
    assert deviations("none", "small", "paper") == ("rounds up",)
    assert deviations("none", "small", "strict") == ()


def test_a_switch_that_does_not_exist_is_refused(ship: Callable[..., None]) -> None:
    ship(base=BASE, paper='[switches]\nrefernce = "base"\n')
    with pytest.raises(UserError, match=r"none.paper.toml \[switches\]: unknown key 'refernce' \(did you mean 'refer"):
        resolve_switches(PAPER, "none")


def test_the_published_code_scored_fine_tuning_and_ike_otherwise() -> None:
    changed = {name: resolve_switches(PAPER, name) for name in registry.BUILT_IN["editors"]}
    after_the_next = {name for name, switches in changed.items() if switches.reference == "previous edit"}
    assert after_the_next == {"ft-llm", "ft-alignment"}
    in_float32 = {name for name, switches in changed.items() if switches.topk_dtype == "float32"}
    assert in_float32 == {"ike", "ike-random"} == {n for n, s in changed.items() if s.locality_positions == "answer"}


@pytest.mark.parametrize(
    ("editor", "backbone", "told"),
    [
        ("mend", "llava-1.5-7b", "the statistics of a loaded checkpoint are continued"),
        ("ke", "llava-1.5-7b", "a multiplier below zero is set to zero right after the step"),
        ("ft-llm", "llava-1.5-7b", "--dtype float32 does so"),
        ("ft-alignment", "llava-1.5-7b", "--dtype float32 does so"),
    ],
)
def test_what_stays_different_from_the_published_code_is_told(editor: str, backbone: str, told: str) -> None:
    assert told in " ".join(deviations(editor, backbone, "paper"))


def test_an_earlier_checkpoint_states_what_its_protocol_decided() -> None:
    known = {"published_counterfactual": "vicuna", "counterfactual": "own", "published_layers": 0, "layers": 1}
    paper = renamed.trained({**known, "picture_head": 128, "rate": 1e-5}, editor="serac", protocol="paper")
    assert paper == {
        "scope": "soft", "scope_key": "question and answer", "projection": "random",
        "counterfactual": "vicuna", "layers": 0, "picture_head": 0, "learning_rate": 1e-5,
    }  # fmt: skip
    strict = renamed.trained({**known, "picture_head": 128}, editor="serac", protocol="strict")
    assert strict == {
        "scope": "decided", "scope_key": "question", "projection": "trained",
        "counterfactual": "own", "layers": 1, "picture_head": 128,
    }  # fmt: skip
    later = {"gradients_at": "edited weights", "statistics_while_editing": "frozen"}
    assert renamed.trained({}, editor="mend", protocol="paper") == {"statistics": "running", **later}
    assert renamed.trained({"statistics": "first pass"}, editor="mend", protocol="paper")["statistics"] == "first pass"


@pytest.mark.parametrize("protocol", ["strict", "paper"])
@pytest.mark.parametrize("editor", renamed.LATER)
def test_a_setting_that_came_later_is_read_with_the_value_that_acted_before(editor: str, protocol: str) -> None:
    shipped = dict(resolve(editor, "tiny-llava", {}, protocol=protocol))
    earlier = {key: value for key, value in shipped.items() if key not in renamed.LATER[editor]}
    assert earlier != shipped
    assert renamed.current(earlier, editor=editor, protocol=protocol) == shipped
    stated = {**shipped, **dict.fromkeys(renamed.LATER[editor], "stated")}
    assert renamed.current(stated, editor=editor, protocol=protocol) == stated
