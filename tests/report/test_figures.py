"""From rows to figures: averages over probes first, then records; floors paired; nothing undefined made up."""

import math
from collections.abc import Callable
from statistics import stdev

import numpy as np
import pytest

from mmke.report.figures import figures, unit
from mmke.types import HEADLINE_KINDS, RECALL_KINDS, ScoreRow

Row = Callable[..., ScoreRow]


def test_records_count_equally_however_many_tokens_they_have(row: Row) -> None:
    figure = figures([[row("t_rel", 0.5, n_scored=2)], [row("t_rel", 1.0, n_scored=8)]])["t_rel"]
    assert figure.value == 75.0
    assert figure.n == 2


def test_two_relation_probes_of_a_record_are_averaged_first(row: Row) -> None:
    figure = figures([[row("t_rel", 0.5), row("t_rel", 1.0)], [row("t_rel", 0.25)]])["t_rel"]
    assert figure.value == pytest.approx(50.0)
    assert figure.n == 2


def test_an_unscored_probe_leaves_its_twin_to_speak_for_the_record(row: Row) -> None:
    figure = figures([[row("t_rel", 0.5), row("t_rel", None)]])["t_rel"]
    assert (figure.value, figure.n, figure.n_unscored) == (50.0, 1, 0)


def test_a_record_without_a_score_is_unscored_and_neither_zero_nor_hidden(row: Row) -> None:
    records = [[row("port", 0.5, kind="port")], [row("port", None, kind="port", probe=None)], [row("t_rel", 1.0)]]
    figure = figures(records)["port"]
    assert (figure.value, figure.n, figure.n_unscored) == (50.0, 1, 2)


def test_a_metric_without_any_score_is_null_and_counted(row: Row) -> None:
    figure = figures([[row("port", None, kind="port")]])["port"]
    assert (figure.value, figure.se, figure.gain, figure.gain_se) == (None, None, None, None)
    assert (figure.n, figure.n_unscored) == (0, 1)


def test_the_standard_error_is_the_sample_deviation_over_root_n(row: Row) -> None:
    figure = figures([[row("t_rel", value)] for value in (0.0, 0.5, 1.0)])["t_rel"]
    assert figure.se == pytest.approx(100 * stdev([0, 0.5, 1]) / math.sqrt(3))


def test_one_record_has_no_standard_error(row: Row) -> None:
    figure = figures([[row("t_rel", 0.5, 0.25)]])["t_rel"]
    assert (figure.value, figure.se, figure.gain, figure.gain_se) == (50.0, None, 25.0, None)


def test_the_gain_is_paired_by_record(row: Row) -> None:
    figure = figures([[row("t_rel", 0.75, 0.25)], [row("t_rel", 1.0, 0.5)]])["t_rel"]
    assert figure.gain == pytest.approx(50.0)
    assert figure.gain_se == pytest.approx(0.0)
    assert figure.se > 0


def test_a_record_without_floor_counts_for_the_value_but_not_for_the_gain(row: Row) -> None:
    figure = figures([[row("t_rel", 0.75, 0.25)], [row("t_rel", 0.25)]])["t_rel"]
    assert (figure.value, figure.gain) == (50.0, 50.0)


def test_locality_has_no_gain(row: Row) -> None:
    figure = figures([[row("t_loc", 0.75, 0.25, kind="t_loc")]])["t_loc"]
    assert (figure.value, figure.gain) == (75.0, None)


def test_divergences_stay_in_nats(row: Row) -> None:
    records = [[row("i_loc_kl", value, kind="i_loc", tags={"style": "x"})] for value in (0.5, 1.5)]
    found = figures(records, by="style")
    assert found["i_loc_kl"].value == found["i_loc_kl[x]"].value == 1.0
    assert unit("i_loc_kl[x]") == unit("t_loc_kl") == "nats"
    assert unit("t_loc") == unit("t_loc_top10") == "per cent"


def test_headline_metrics_come_first_then_recall_then_the_rest_by_name(row: Row) -> None:
    rest = ["a_metric", "port_em", "t_loc_kl"]
    order = [*HEADLINE_KINDS, *RECALL_KINDS, *rest]
    assert list(figures([[row(metric, 1.0) for metric in reversed(order)]])) == order


def test_a_tag_breaks_every_metric_down_beside_the_whole(row: Row) -> None:
    def tagged(value: float | None, style: str) -> ScoreRow:
        return row("i_gen", value, 0.0, kind="i_gen", tags={"style": style})

    records = [[tagged(1.0, "trained")], [tagged(0.5, "held-out")], [tagged(0.0, "held-out")], [row("i_gen", None)]]
    found = figures(records, by="style")
    assert [(key, figure.value) for key, figure in found.items()] == [
        ("i_gen", 50.0),
        ("i_gen[held-out]", 25.0),
        ("i_gen[trained]", 100.0),
    ]
    assert (found["i_gen"].n, found["i_gen"].n_unscored) == (3, 1)
    assert (found["i_gen[held-out]"].n, found["i_gen[held-out]"].n_unscored) == (2, 0)


def test_the_order_of_records_and_rows_does_not_matter(row: Row) -> None:
    generator = np.random.default_rng(0)
    records = [[row("t_rel", float(v), 0.5), row("i_rel", float(1 - v))] for v in generator.random(20)]
    shuffled = [list(reversed(records[i])) for i in generator.permutation(20)]
    first, second = figures(records), figures(shuffled)
    assert first.keys() == second.keys()
    assert all(first[key].value == pytest.approx(second[key].value) for key in first)
    assert first["t_rel"].gain_se == pytest.approx(second["t_rel"].gain_se)
