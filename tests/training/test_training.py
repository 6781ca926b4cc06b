"""Training: it learns from its records alone, changes its editor alone, and says what it made."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmke.benchmarks.open import open_benchmark
from mmke.editing.trained import find, read
from mmke.errors import UserError
from mmke.running.fingerprint import fingerprint
from mmke.training import train as training
from mmke.training.curves import CURVES
from mmke.training.train import TrainRequest, plan, train
from mmke.types import PAPER

Asked = Callable[..., TrainRequest]


def same(one: Path, other: Path) -> bool:
    left, right = load_file(one), load_file(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_training_lowers_the_loss_and_says_what_the_checkpoint_is_for(asked: Asked) -> None:
    planned = plan(asked())
    best = read(train(planned))
    lines = [json.loads(line) for line in (planned.folder / CURVES).read_text().splitlines()]
    validations = [line["total"] for line in lines if line["kind"] == "validation"]
    assert [line["records"] for line in lines if line["kind"] == "train"] == [2, 4, 6, 8, 10, 12]
    assert validations[-1] < validations[0]
    assert (best.facts.editor, best.facts.backbone, best.facts.benchmarks) == ("mend", "tiny-llava", ("mmke-user",))
    assert best.facts.figures["total"] == pytest.approx(min(validations))
    assert list((planned.folder / "tensorboard").glob("events.*"))


def test_training_leaves_the_backbone_alone(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setattr(training, "load", lambda *a, **options: loaded.append(LOAD(*a, **options)) or loaded[-1])
    before = fingerprint(LOAD(training.Request("tiny-llava", None, ())).module)
    train(plan(asked()))
    assert fingerprint(loaded[-1].module) == before


LOAD = training.load


def test_a_model_that_the_editor_needs_besides_is_missed_before_weights_are_read(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    skeletons: list[bool] = []

    def listen(request: training.Request, *, skeleton: bool = False) -> object:
        skeletons.append(skeleton)
        return LOAD(request, skeleton=skeleton)

    monkeypatch.setattr(training, "load", listen)
    data = asked().data
    with pytest.raises(UserError, match="there is no 'no/encoder'"):
        train(plan(TrainRequest("serac", "tiny-llava", ("mmke-user",), changes={"encoder": "no/encoder"}, data=data)))
    assert skeletons == [True]


def test_equal_seeds_train_equal_weights_and_others_do_not(asked: Asked, tmp_path: Path) -> None:
    one, two, other = (train(plan(asked(out=tmp_path / str(i), seed=i // 2))) for i in range(3))
    assert same(one, two)
    assert not same(one, other)


def test_paper_validates_on_evaluation_records(asked: Asked) -> None:
    strict, paper = plan(asked()), plan(asked(protocol="paper"))
    assert {case.id for case in strict.validation_cases}.isdisjoint(case.id for case in strict.cases)
    assert len(paper.cases) == len(strict.cases) + len(strict.validation_cases)
    evaluated = open_benchmark("mmke-user", data=paper.request.data).load("eval", hop=0, switches=PAPER).cases
    assert [case.id for case in paper.validation_cases] == [case.id for case in evaluated]


def test_a_run_finds_what_was_trained(asked: Asked) -> None:
    request = asked()
    best = train(plan(request))
    assert find("mend", "tiny-llava", "mmke-user", folder=request.out) == [best]
    assert find("mend", "tiny-llava", "mmke-entity", folder=request.out) == []


def test_an_editor_is_made_of_what_it_is_trained_on_alone(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    given, factory = [], training.registry.factory

    def listen(noun: str, name: str) -> Callable[..., object]:
        def make(*positional: object, **named: object) -> object:
            given.append(named["train"])
            return factory(noun, name)(*positional, **named)  # type: ignore[arg-type]

        return make if noun == "editors" else factory(noun, name)  # type: ignore[arg-type]

    monkeypatch.setattr(training.registry, "factory", listen)
    planned = plan(asked())
    # The last one made is the one that is trained; one before it only tells early that settings do not fit.
    assert [case.id for case in given[-1]] == [case.id for case in planned.cases]
    assert planned.validation_cases
