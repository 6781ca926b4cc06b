"""When records are trained on, when validation comes, and when it ends; the published figures were run by its code."""

from typing import Literal

import pytest

from mmke import registry
from mmke.editing.settings import resolve
from mmke.protocols import TrainableEditor, Training
from mmke.training.progress import Progress
from mmke.types import PAPER

TRAINING = Training(
    steps=30000,
    gradient_accumulation_steps=1,
    max_grad_norm=100.0,
    validate_every=3000,
    validation_records=500,
    patience=3000,
)
SPLITS = {"mmke-entity": 636, "mmke-visual": 214, "mmke-user": 331}
"""Training records of the published benchmarks."""


def go(progress: Progress, *, improving: bool) -> tuple[int, list[int], list[int]]:
    """Return how many records were trained on, where validations were, and which of them were the best so far."""
    validated, saved, figure = [], [], 0.0
    while not progress.finished():
        before = progress.done
        for _ in range(progress.training.gradient_accumulation_steps):
            if not progress.finished():
                progress.next_record()
        if progress.validation_due(since=before):
            validated.append(progress.done)
            figure += -1.0 if improving else 1.0
            if progress.record_validation(figure):
                saved.append(progress.done)
    return progress.done, validated, saved


def trained(records: int, published: Literal["epochs"] | None, *, improving: bool) -> tuple[int, list[int]]:
    done, _, saved = go(Progress(records, TRAINING, published, 0), improving=improving)
    return done, saved


def shipped(editor: str) -> TrainableEditor:
    """Return an editor with the settings of the full-size models."""
    made = registry.factory("editors", editor)(
        resolve(editor, "llava-1.5-7b", {}, protocol="paper"), PAPER, train=(), seed=0
    )
    assert isinstance(made, TrainableEditor)
    return made


def test_the_published_count_of_636_records_that_improve() -> None:
    assert trained(636, "epochs", improving=True) == (29892, list(range(3000, 27001, 3000)))


@pytest.mark.parametrize(("records", "expected"), [(636, 28272), (214, 28284), (331, 27662)])
def test_the_published_stop_ends_the_epoch_alone(records: int, expected: int) -> None:
    assert trained(records, "epochs", improving=False) == (expected, [3000])


@pytest.mark.parametrize("editor", ["mend", "serac"])
@pytest.mark.parametrize(
    ("records", "improving", "expected"),
    [(636, True, 29892), (636, False, 28272), (214, False, 28284), (331, False, 27662)],
)
def test_mend_and_serac_train_as_many_records_as_published(
    editor: str, records: int, expected: int, *, improving: bool
) -> None:
    made = shipped(editor)
    assert made.training.validation_records == 500
    assert go(Progress(records, made.training, made.published_schedule, 0), improving=improving)[0] == expected


@pytest.mark.parametrize("improving", [True, False])
@pytest.mark.parametrize("records", SPLITS.values(), ids=SPLITS)
def test_ke_trains_exactly_its_steps_and_validates_after_each_whole_epoch(records: int, *, improving: bool) -> None:
    made = shipped("ke")
    done, validated, _ = go(Progress(records, made.training, made.published_schedule, 0), improving=improving)
    assert done == 20000
    assert validated == list(range(records, 20001, records))


def test_under_strict_ke_validates_at_its_end_as_well() -> None:
    done, validated, _ = go(Progress(636, shipped("ke").training, None, 0), improving=True)
    assert (done, validated[0], validated[-2:]) == (20000, 636, [19716, 20000])


def test_a_real_stop_ends_training() -> None:
    assert trained(636, None, improving=False) == (6000, [3000])


def test_training_that_improves_takes_all_its_steps_and_validates_at_the_end() -> None:
    assert trained(636, None, improving=True) == (30000, list(range(3000, 30001, 3000)))


def test_steps_of_several_records_validate_no_more_often() -> None:
    several = Training(
        steps=25, gradient_accumulation_steps=4, max_grad_norm=1.0, validate_every=10, validation_records=1, patience=99
    )
    assert go(Progress(7, several, None, 0), improving=True)[1] == [12, 20, 25]


def test_every_record_comes_once_an_epoch_and_epochs_differ() -> None:
    progress = Progress(7, TRAINING, None, seed=3)
    first, second = ([progress.next_record() for _ in range(7)] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


def test_progress_that_is_restored_goes_on_in_the_same_order() -> None:
    whole = Progress(7, TRAINING, None, seed=3)
    order = [whole.next_record() for _ in range(20)]
    begun, later = (Progress(7, TRAINING, None, seed=3) for _ in range(2))
    for _ in range(9):
        begun.next_record()
    later.load_state_dict(begun.state_dict())
    assert [later.next_record() for _ in range(11)] == order[9:]
