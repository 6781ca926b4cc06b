"""From rows to figures: averages over probes first, then records; floors paired; nothing undefined made up."""

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import stdev

import numpy as np
import pytest

from mmke.report.figures import Scale, figures
from mmke.types import ProbeKind, ScoreRow

Row = Callable[..., ScoreRow]


def test_records_count_equally_however_many_tokens_they_have(row: Row, scale: Scale) -> None:
    figure = figures([[row("t_rel", 0.5, n_scored=2)], [row("t_rel", 1.0, n_scored=8)]], scale)["t_rel"]
    assert figure.value == 75.0
    assert figure.n == 2


def test_two_relation_probes_of_a_record_are_averaged_first(row: Row, scale: Scale) -> None:
    figure = figures([[row("t_rel", 0.5), row("t_rel", 1.0)], [row("t_rel", 0.25)]], scale)["t_rel"]
    assert figure.value == pytest.approx(50.0)
    assert figure.n == 2


def test_an_unscored_probe_leaves_its_twin_to_speak_for_the_record(row: Row, scale: Scale) -> None:
    figure = figures([[row("t_rel", 0.5), row("t_rel", None)]], scale)["t_rel"]
    assert (figure.value, figure.n, figure.n_unscored, figure.n_partial) == (50.0, 1, 0, 1)


def test_a_record_without_a_score_is_unscored_and_neither_zero_nor_hidden(row: Row, scale: Scale) -> None:
    records = [[row("port", 0.5, kind="port")], [row("port", None, kind="port", probe=None)], [row("t_rel", 1.0)]]
    figure = figures(records, scale)["port"]
    assert (figure.value, figure.n, figure.n_unscored) == (50.0, 1, 2)


def test_a_metric_without_any_score_is_null_and_counted(row: Row, scale: Scale) -> None:
    figure = figures([[row("port", None, kind="port")]], scale)["port"]
    assert (figure.value, figure.se, figure.gain, figure.gain_se) == (None, None, None, None)
    assert (figure.n, figure.n_unscored) == (0, 1)


def test_the_standard_error_is_the_sample_deviation_over_root_n(row: Row, scale: Scale) -> None:
    figure = figures([[row("t_rel", value)] for value in (0.0, 0.5, 1.0)], scale)["t_rel"]
    assert figure.se == pytest.approx(100 * stdev([0, 0.5, 1]) / math.sqrt(3))


def test_one_record_has_no_standard_error(row: Row, scale: Scale) -> None:
    figure = figures([[row("t_rel", 0.5, 0.25)]], scale)["t_rel"]
    assert (figure.value, figure.se, figure.gain, figure.gain_se) == (50.0, None, 25.0, None)


def test_the_gain_is_paired_by_record(row: Row, scale: Scale) -> None:
    figure = figures([[row("t_rel", 0.75, 0.25)], [row("t_rel", 1.0, 0.5)]], scale)["t_rel"]
    assert figure.gain == pytest.approx(50.0)
    assert figure.gain_se == pytest.approx(0.0)
    assert figure.se > 0


def test_a_record_without_floor_counts_for_the_value_but_not_for_the_gain(row: Row, scale: Scale) -> None:
    figure = figures([[row("t_rel", 0.75, 0.25)], [row("t_rel", 0.25)]], scale)["t_rel"]
    assert (figure.value, figure.gain) == (50.0, 50.0)


def test_locality_has_no_gain(row: Row, scale: Scale) -> None:
    figure = figures([[row("t_loc", 0.75, 0.25, kind="t_loc")]], scale)["t_loc"]
    assert (figure.value, figure.gain) == (75.0, None)


def test_figures_of_another_unit_than_per_cent_are_not_scaled(row: Row, scale: Scale) -> None:
    records = [[row("i_loc_kl", value, kind="i_loc")] for value in (0.5, 1.5)]
    found = figures(records, scale, tag_of=lambda row: "x")
    assert found["i_loc_kl"].value == found["i_loc_kl[x]"].value == 1.0
    assert scale.unit("i_loc_kl[x]") == scale.unit("t_loc_kl") == "nats"
    assert scale.unit("t_loc") == scale.unit("t_loc_top10") == "per cent"


def test_headline_kinds_come_first_then_the_other_kinds_then_the_rest_by_name(row: Row, scale: Scale) -> None:
    order = ["t_loc", "i_loc", "t_rel", "i_rel", "i_gen", "port", "recall", "rephrase", "image_rephrase"]
    order += ["a_metric", "port_em", "t_loc_kl"]
    assert list(figures([[row(metric, 1.0) for metric in reversed(order)]], scale)) == order


def test_roles_decide_what_has_a_gain_whatever_a_kind_is_called(row: Row) -> None:
    kinds = [ProbeKind("near", "Near", "hard locality"), ProbeKind("far", "Far", "relation", headline=True)]
    scale = Scale({kind.name: kind for kind in kinds}, {})
    found = figures([[row("near", 0.75, 0.25, kind="near"), row("far", 0.75, 0.25, kind="far")]], scale)
    assert [(name, figure.gain) for name, figure in found.items()] == [("far", 50.0), ("near", None)]


def test_a_micro_average_counts_tokens_and_not_records(row: Row, scale: Scale) -> None:
    records = [[row("t_rel", 0.5, 0.0, n_scored=2)], [row("t_rel", 1.0, 0.5, n_scored=8)], [row("t_rel", None)]]
    figure = figures(records, replace(scale, average="micro"))["t_rel"]
    assert (figure.value, figure.gain) == (pytest.approx(90.0), pytest.approx(50.0))
    assert (figure.n, figure.n_unscored) == (2, 1)
    assert figures(records, scale)["t_rel"].value == 75.0


def test_the_standard_error_of_a_micro_average_is_the_macro_one_where_all_records_weigh_the_same(
    row: Row, scale: Scale
) -> None:
    records = [[row("t_rel", value, n_scored=4)] for value in (0.0, 0.5, 0.75, 1.0)]
    micro = figures(records, replace(scale, average="micro"))["t_rel"]
    macro = figures(records, scale)["t_rel"]
    assert (micro.value, micro.se) == (pytest.approx(macro.value), pytest.approx(macro.se))


def test_a_tag_breaks_every_metric_down_beside_the_whole(row: Row, scale: Scale) -> None:
    styles = {"0": "trained", "1": "held-out", "2": "held-out"}
    records = [[row("i_gen", value, 0.0, case_id=str(i))] for i, value in enumerate([1.0, 0.5, 0.0, None])]
    found = figures(records, scale, tag_of=lambda row: styles.get(row.case_id))
    assert [(key, figure.value) for key, figure in found.items()] == [
        ("i_gen", 50.0),
        ("i_gen[held-out]", 25.0),
        ("i_gen[trained]", 100.0),
    ]
    assert (found["i_gen"].n, found["i_gen"].n_unscored) == (3, 1)
    assert (found["i_gen[held-out]"].n, found["i_gen[held-out]"].n_unscored) == (2, 0)


def test_the_order_of_records_and_rows_does_not_matter(row: Row, scale: Scale) -> None:
    generator = np.random.default_rng(0)
    records = [[row("t_rel", float(v), 0.5), row("i_rel", float(1 - v))] for v in generator.random(20)]
    shuffled = [list(reversed(records[i])) for i in generator.permutation(20)]
    first, second = figures(records, scale), figures(shuffled, scale)
    assert first.keys() == second.keys()
    assert all(first[key].value == pytest.approx(second[key].value) for key in first)
    assert first["t_rel"].gain_se == pytest.approx(second["t_rel"].gain_se)
