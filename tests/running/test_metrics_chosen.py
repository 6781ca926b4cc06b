"""A run scores the package's own metrics unless others are named."""

from dataclasses import replace

import pytest

from mmke import registry
from mmke.benchmarks.probes import hard
from mmke.benchmarks.probes.published import KINDS, T_REL
from mmke.errors import UserError
from mmke.metrics import accuracy
from mmke.running.metrics import check_columns, make_metrics
from mmke.types import STRICT, Ask

OWN = ["accuracy", "agreement", "agreement-top10", "divergence"]


def test_the_packages_own_metrics_are_the_usual_ones() -> None:
    assert [metric.name for metric in make_metrics(STRICT)] == OWN
    assert [metric.name for metric in make_metrics(STRICT, generate=True)] == [*OWN, "exact-match", "token-f1"]


def test_a_metric_of_another_package_is_not_scored_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    names = registry.names
    monkeypatch.setattr(registry, "names", lambda noun: {**names(noun), "mine": "my_package:make"})
    assert [metric.name for metric in make_metrics(STRICT)] == OWN


def test_named_metrics_take_the_place_of_the_usual_ones() -> None:
    assert [metric.name for metric in make_metrics(STRICT, names=["token-f1", "accuracy"])] == ["token-f1", "accuracy"]


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        make_metrics(STRICT, names=["acuracy"])


def test_two_metrics_of_one_column_are_refused_before_anything_is_asked() -> None:
    metric = accuracy.Accuracy(Ask())
    check_columns(make_metrics(STRICT, generate=True), KINDS)
    with pytest.raises(UserError, match="the metrics 'accuracy' and 'mine' both feed the column 't_rel'"):
        check_columns([metric, replace(metric, name="mine")], [T_REL])


def test_hard_locality_is_scored_where_the_records_have_such_probes() -> None:
    assert [metric.name for metric in make_metrics(STRICT, kinds=KINDS)] == OWN
    assert [metric.name for metric in make_metrics(STRICT, kinds=hard.KINDS)] == [*OWN, "agree", "leak", "devqa"]
    check_columns(make_metrics(STRICT, generate=True, kinds=hard.KINDS), [*KINDS, *hard.KINDS])
