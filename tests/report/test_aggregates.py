"""RI, NI, CI and hard_loc: probes of a kind first, then kinds, then groups, then records."""

from collections.abc import Callable, Sequence

import pytest

from mmke.benchmarks.probes.hard import KINDS
from mmke.report.aggregates import AGGREGATES, LACKING, with_aggregates
from mmke.report.figures import Figure, Scale, figures
from mmke.results.finished import FinishedRecord
from mmke.results.rows import RecordKey
from mmke.types import ScoreRow

Row = Callable[..., ScoreRow]
BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.fixture
def made(row: Row) -> Callable[..., dict[str, Figure]]:
    """Return the figures of records, each given by the values of its kinds; None: no score."""

    def make(*records: dict[str, Sequence[float | None]]) -> dict[str, Figure]:
        read = [
            FinishedRecord(
                RecordKey(f"{number}", "single", 1, None),
                tuple(row(kind, value, kind=kind) for kind, values in record.items() for value in values),
                None,
            )
            for number, record in enumerate(records)
        ]
        rows = [record.rows for record in with_aggregates(read, BY_NAME)]
        return figures(rows, Scale(BY_NAME, {}))

    return make


WHOLE = {
    "ri_question": [1.0, 0.5],
    "ri_generic": [0.25],
    "ni_partner": [1.0, 1.0],
    "ci_picture": [0.0],
    "ci_named": [0.5, 0.7],
}


def test_probes_then_kinds_then_groups_are_averaged(made: Callable[..., dict[str, Figure]]) -> None:
    found = made(WHOLE)
    assert {name: found[name].value for name in AGGREGATES} == pytest.approx(
        {"hard_loc": (50 + 100 + 30) / 3, "RI": 50.0, "NI": 100.0, "CI": 30.0}
    )
    assert found["hard_loc"].gain is None


def test_kinds_without_a_group_do_not_count(made: Callable[..., dict[str, Figure]]) -> None:
    assert made({**WHOLE, "black": [0.0], "near_text": [0.0]})["hard_loc"] == made(WHOLE)["hard_loc"]
    assert "hard_loc" not in made({"black": [0.0]})


def test_further_metrics_of_a_kind_do_not_count(row: Row) -> None:
    rows = tuple(
        row(metric, value, kind="ri_picture") for metric, value in (("ri_picture", 1.0), ("ri_picture_leak", -1.0))
    )
    (record,) = with_aggregates([FinishedRecord(RecordKey("0", "single", 1, None), rows, None)], BY_NAME)
    assert [(each.metric, each.value) for each in record.rows[2:]] == [("RI", 1.0), ("hard_loc", None)]
    assert record.rows[-1].reason == LACKING


def test_a_record_without_one_group_has_no_hard_locality(made: Callable[..., dict[str, Figure]]) -> None:
    found = made(WHOLE, {**WHOLE, "ci_picture": [None], "ci_named": [None]})
    assert (found["hard_loc"].n, found["hard_loc"].n_unscored) == (1, 1)
    assert (found["CI"].n, found["CI"].n_unscored) == (1, 1)
    assert found["NI"].n == 2


def test_a_group_that_lacks_a_kind_is_the_mean_of_the_others_and_is_told(
    made: Callable[..., dict[str, Figure]],
) -> None:
    found = made({**WHOLE, "ri_generic": [None]})
    assert (found["RI"].value, found["RI"].n_partial) == (75.0, 1)


def test_aggregates_stand_behind_the_headline_kinds(made: Callable[..., dict[str, Figure]]) -> None:
    assert list(made(WHOLE))[:5] == [*AGGREGATES, "ri_question"]
