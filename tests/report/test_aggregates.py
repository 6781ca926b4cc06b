"""RI, NI and CI: probes of a kind first, then kinds, then records. hard_loc: the mean of their figures."""

from collections.abc import Callable, Sequence
from statistics import stdev

import pytest

from mmke.benchmarks.probes.hard import KINDS
from mmke.report.aggregates import AGGREGATES, groups_told, with_aggregates
from mmke.report.figures import Average, Figure, Scale, figures
from mmke.results.finished import FinishedRecord
from mmke.results.rows import RecordKey
from mmke.types import ScoreRow

Row = Callable[..., ScoreRow]
BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.fixture
def made(row: Row) -> Callable[..., dict[str, Figure]]:
    """Return the figures of records, each given by the values of its kinds; None: no score."""

    def make(*records: dict[str, Sequence[float | None]], average: Average = "macro") -> dict[str, Figure]:
        read = [
            FinishedRecord(
                RecordKey(f"{number}", "single", 1, None),
                tuple(row(kind, value, kind=kind) for kind, values in record.items() for value in values),
                None,
            )
            for number, record in enumerate(records)
        ]
        rows = [record.rows for record in with_aggregates(read, BY_NAME)]
        return figures(rows, Scale(BY_NAME, {}, average))

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
    assert [(each.metric, each.value) for each in record.rows[2:]] == [("RI", 1.0)]


def test_hard_locality_is_the_mean_of_the_groups_each_over_the_records_that_have_it(
    made: Callable[..., dict[str, Figure]],
) -> None:
    found = made(
        {"ri_question": [1.0], "ni_partner": [0.0], "ci_picture": [0.6]},
        {"ri_question": [0.5], "ni_partner": [None], "ci_picture": [0.2]},
        {"ri_question": [0.0], "ni_partner": [None], "ci_picture": [0.7]},
        {"ri_question": [0.5], "ni_partner": [1.0], "ci_picture": [None]},
        {"ri_question": [None], "ni_partner": [None], "ci_picture": [None]},
    )
    assert [found[name].value for name in ("RI", "NI", "CI")] == pytest.approx([50, 50, 50])
    figure = found["hard_loc"]
    assert (figure.value, figure.n, figure.n_unscored, figure.n_partial) == (pytest.approx(50), 4, 1, 3)
    # By record: a third of (its RI - 50) / 4 + (its NI - 50) / 2 + (its CI - 50) / 3.
    shares = [
        (50 / 4 - 50 / 2 + 10 / 3) / 3,
        (0 / 4 - 30 / 3) / 3,
        (-50 / 4 + 20 / 3) / 3,
        (0 / 4 + 50 / 2) / 3,
    ]
    assert figure.se == pytest.approx((4 / 3 * sum(share**2 for share in shares)) ** 0.5)


def test_where_all_records_have_all_groups_the_error_is_that_of_the_records_means(
    made: Callable[..., dict[str, Figure]],
) -> None:
    values = [(1.0, 0.0, 0.5), (0.5, 0.5, 0.0), (0.25, 1.0, 1.0)]
    found = made(*({"ri_question": [a], "ni_partner": [b], "ci_picture": [c]} for a, b, c in values))
    assert found["hard_loc"].se == pytest.approx(100 * stdev(sum(each) / 3 for each in values) / 3**0.5)


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_in_both_averages_hard_locality_is_the_mean_of_the_groups_figures(
    made: Callable[..., dict[str, Figure]], average: Average
) -> None:
    found = made(WHOLE, {"ri_question": [0.3], "ci_picture": [0.4]}, average=average)
    assert found["RI"].value == pytest.approx({"macro": 40.0, "micro": 130 / 3}[average])
    assert found["hard_loc"].value == pytest.approx(sum(found[name].value or 0 for name in ("RI", "NI", "CI")) / 3)


def test_without_any_record_of_a_group_there_is_no_hard_locality(made: Callable[..., dict[str, Figure]]) -> None:
    found = made(WHOLE, {**WHOLE}, {"ri_question": [1.0]})
    assert (found["hard_loc"].n, found["hard_loc"].n_partial) == (3, 1)
    figure = made({**WHOLE, "ni_partner": [None]})["hard_loc"]
    assert (figure.value, figure.se, figure.n, figure.n_unscored) == (None, None, 1, 0)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"RI": 60, "NI": 60, "CI": 60}, None),
        ({"RI": 60, "NI": 18, "CI": 57}, "hard_loc: RI 60, NI 18, CI 57 of 60 records"),
        ({"RI": 60, "NI": 0}, "hard_loc: RI 60, NI 0, CI 0 of 60 records; undefined without NI and CI"),
    ],
)
def test_how_many_records_each_group_has_is_told(counts: dict[str, int], told: str | None) -> None:
    assert groups_told("hard_loc", counts, 60, "records") == told


def test_a_group_that_lacks_a_kind_is_the_mean_of_the_others_and_is_told(
    made: Callable[..., dict[str, Figure]],
) -> None:
    found = made({**WHOLE, "ri_generic": [None]})
    assert (found["RI"].value, found["RI"].n_partial) == (75.0, 1)


def test_aggregates_stand_behind_the_headline_kinds(made: Callable[..., dict[str, Figure]]) -> None:
    assert list(made(WHOLE))[:5] == [*AGGREGATES, "ri_question"]
