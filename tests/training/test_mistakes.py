"""What a user can get wrong in asking for a training: told in one message, before weights are read."""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mmke.cli import main
from mmke.errors import UserError
from mmke.training.train import TrainRequest, plan, train

Asked = Callable[..., TrainRequest]
EDITORS = ("mend", "serac", "ke")
TRAIN = ["train", "mend", "--backbone", "tiny-llava", "--benchmark", "mmke-user"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"editor": "ft-llm", "changes": {}}, "ft-llm is not trained"),
        ({"editor": "mand"}, "did you mean 'mend'"),
        ({"backbone": "tiny-lava"}, "did you mean 'tiny-llava'"),
        ({"benchmarks": ("mmke-use",)}, "did you mean 'mmke-user'"),
        ({"protocol": "loose"}, "unknown protocol 'loose'"),
        ({"seed": 2**64}, "give a whole number of at most 64 bits"),
    ],
)
def test_names_that_do_not_exist(asked: Asked, changes: Mapping[str, Any], message: str) -> None:
    request = asked(**changes)
    if request.editor == "ft-llm":
        request = TrainRequest("ft-llm", "tiny-llava", ("mmke-user",), data=request.data)
    with pytest.raises(UserError, match=message):
        plan(request)


@pytest.mark.parametrize(
    ("editor", "changes", "message"),
    [
        *((name, {"steps": 0}, f"{name} would be trained on no record: steps = 0") for name in EDITORS),
        *((name, {"steps": -1}, "steps = -1; it counts from 0 up") for name in EDITORS),
        *((name, {"learning_rate": -1e-3}, r"rate = -0\.001; it is a finite number") for name in EDITORS),
        *((name, {"gradient_accumulation_steps": 0}, "steps = 0; it counts from 1") for name in EDITORS),
        *((name, {"validate_every": -1}, "validate_every = -1; it counts from 0 up") for name in EDITORS),
        *((name, {"rnak": 3}, "unknown key 'rnak'") for name in EDITORS),
        ("mend", {"patience": 0, "rank": 0}, "rank = 0; it counts from 1 up; patience = 0; it counts from 1 up"),
        ("mend", {"locality_weight": -1}, r"locality_weight = -1\.0; it is a finite number, 0 or more"),
        ("serac", {"scope_learning_rate": float("inf")}, "scope_learning_rate = inf; it is a finite number above 0"),
        ("ke", {"multiplier_learning_rate": 0}, r"multiplier_learning_rate = 0\.0; it is a finite number above 0"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(editor: str, changes: Mapping[str, Any], message: str, asked: Asked) -> None:
    with pytest.raises(UserError, match=message):
        plan(asked(editor=editor, changes=changes))


@pytest.fixture
def changed(apart: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies the data with other training records."""

    def change(edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Path:
        other = tmp_path / "other"
        (other / "data_json").mkdir(parents=True)
        (other / "data_image").symlink_to(apart / "data_image")
        for split, apply in (("train", edit), ("eval", list)):
            records = json.loads((apart / "data_json" / f"user_{split}.json").read_text())
            (other / "data_json" / f"user_{split}.json").write_text(json.dumps(apply(records)))
        return other

    return change


def without(field: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Let the second record's field be empty."""
    return lambda records: [{**each, field: ""} if i == 1 else each for i, each in enumerate(records)]


@pytest.mark.parametrize(
    ("field", "named"), [("alt", "record 1"), ("loc_ans", "user-00001"), ("m_loc_a", "user-00001")]
)
def test_a_record_without_an_answer_is_left_out_and_told(
    field: str, named: str, asked: Asked, changed: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        planned = plan(asked(data=changed(without(field))))
    assert (
        f"1 of 6 training records lack an answer or a question that training needs; left out, the first: {named}"
        in (caplog.text)
    )
    used = {case.id for case in (*planned.cases, *planned.validation_cases)}
    assert (len(used), "user-00001" in used) == (5, False)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda _: [], "user_train.json: holds an empty list"),
        (lambda records: records[:1], "1 training record cannot be divided"),
        (lambda records: [{**each, "alt": ""} for each in records], "every record is skipped"),
        (lambda records: [{**each, "loc_ans": ""} for each in records], "mmke-user has 6 training records, and none"),
        (lambda records: [{**each, "rephrase": None} for each in records], "'rephrase'"),
    ],
    ids=["empty", "one", "no-answer", "no-locality-answer", "no-rephrase"],
)  # fmt: skip
def test_training_records_that_nothing_can_be_trained_on(
    edit: Callable[..., Any], message: str, asked: Asked, changed: Callable[..., Path]
) -> None:
    with pytest.raises(UserError) as told:
        plan(asked(data=changed(edit)))
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--set", "steps"], "is not of the form EDITOR.KEY=VALUE"),
        (["--set", "rank=four"], "rank = 'four' is no int"),
        (["--settings", "nosuch.toml"], "--settings nosuch.toml: "),
        (["--device", "cuda:7"], "device 'cuda:7' is not there"),
        (["--dtype", "float7"], "'float7' is not one of 'float32', 'float16', 'bfloat16'"),
    ],
)
def test_the_command_tells_a_mistake_in_one_line(
    given: list[str], message: str, apart: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--data", str(apart), "--out", str(tmp_path / "out")]
    assert main([*TRAIN, *where, *given]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("mmke: ") == 1
    assert not list(tmp_path.glob("out/**/*.safetensors"))


def test_a_site_that_is_not_there_is_told_on_the_skeleton(asked: Asked) -> None:
    with pytest.raises(UserError, match="so no layer 9"):
        train(plan(asked(changes={"sites": ["language.9.mlp_out"]})))


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_a_record_that_cannot_be_asked_is_left_out_of_a_training(
    protocol: str, changed: Callable[..., Path], asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    def edit(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**each, "alt": "word " * 900} if i == 1 else each for i, each in enumerate(records)]

    request = asked(backbone="tiny-blip2", data=changed(edit), protocol=protocol)
    with caplog.at_level(logging.WARNING):
        planned = plan(request)
    learnt = {
        case.id for case in (planned.cases if protocol == "paper" else (*planned.cases, *planned.validation_cases))
    }
    assert "user-00000" in learnt
    assert "user-00001" not in learnt
    assert f"1 of {len(learnt) + 1} records cannot be put to tiny-blip2 and are left out" in caplog.text
    assert "record user-00001, edit: 'W" in caplog.text
    assert train(planned).is_file()
