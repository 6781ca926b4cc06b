"""When records are trained on, when validation comes, and when it ends; the published figures were run by its code."""

import pytest

from mmke.protocols import Training
from mmke.training.pace import Pace

TRAINING = Training(steps=30000, accumulate=1, clip=100.0, validate_every=3000, validation_records=500, patience=3000)


def trained(records: int, *, published: bool, improving: bool) -> tuple[int, list[int]]:
    """Return how many records were trained on, and where a validation was the best."""
    pace, saved, figure = Pace(records, TRAINING, published, 0), [], 0.0
    while not pace.over():
        before = pace.done
        pace.next()
        if pace.validates(since=before):
            figure += -1.0 if improving else 1.0
            if pace.heard(figure):
                saved.append(pace.done)
    return pace.done, saved


def test_the_published_pace_of_636_records_that_improve() -> None:
    assert trained(636, published=True, improving=True) == (29892, list(range(3000, 27001, 3000)))


@pytest.mark.parametrize(("records", "expected"), [(636, 28272), (214, 28284), (331, 27662)])
def test_the_published_stop_ends_the_epoch_alone(records: int, expected: int) -> None:
    assert trained(records, published=True, improving=False) == (expected, [3000])


def test_a_real_stop_ends_training() -> None:
    assert trained(636, published=False, improving=False) == (6000, [3000])


def test_training_that_improves_takes_all_its_steps_and_validates_at_the_end() -> None:
    assert trained(636, published=False, improving=True) == (30000, list(range(3000, 30001, 3000)))


def test_every_record_comes_once_an_epoch_and_epochs_differ() -> None:
    pace = Pace(7, TRAINING, published=False, seed=3)
    first, second = ([pace.next() for _ in range(7)] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


def test_a_pace_that_is_taken_up_goes_on_in_the_same_order() -> None:
    whole = Pace(7, TRAINING, published=False, seed=3)
    order = [whole.next() for _ in range(20)]
    begun = Pace(7, TRAINING, published=False, seed=3)
    for _ in range(9):
        begun.next()
    later = Pace(7, TRAINING, published=False, seed=3, epoch=begun.epoch, place=begun.place, done=begun.done)
    assert [later.next() for _ in range(11)] == order[9:]
