"""What every metric promises, whatever it measures."""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import pytest

from mmke import registry
from mmke.benchmarks.probes.hard import with_hard_probes
from mmke.benchmarks.probes.partners import Partner
from mmke.running.asking import ask, write
from mmke.testing.kit import Kit, shared_kit
from mmke.types import PROTOCOLS, EditCase, Metric, Role, Switches


@dataclass(frozen=True)
class MetricTrial:
    """A registered metric, and small models that answer."""

    kit: Kit
    name: str

    def metrics(self, switches: Switches) -> Sequence[Metric]:
        """Make what the factory behind the name returns."""
        made: Sequence[Metric] = registry.factory("metrics", self.name)(switches)
        return made

    @property
    def case(self) -> EditCase:
        """A record that is asked every kind of probe."""
        first, second = self.kit.cases[:2]
        (case,) = with_hard_probes([first], {first.id: Partner(second)}, published=True)
        return case


Claim = Callable[[MetricTrial], None]


def it_keeps_the_protocol(trial: MetricTrial) -> None:
    """It has every member that `mmke.types.Metric` names, and scores kinds of probes whose roles exist."""
    assert any(trial.metrics(switches) for switches in PROTOCOLS.values())
    for switches in PROTOCOLS.values():
        for metric in trial.metrics(switches):
            assert isinstance(metric, Metric)
            assert metric.roles
            assert set(metric.roles) <= set(get_args(Role))


def its_names_and_columns_are_its_own(trial: MetricTrial) -> None:
    """No other registered metric has its name or feeds a column of its."""
    kinds = dict.fromkeys(probe.kind for probe in trial.case.probes)
    for switches in PROTOCOLS.values():
        made = [metric for name in registry.names("metrics") for metric in registry.factory("metrics", name)(switches)]
        columns = [metric.column(kind) for metric in made for kind in kinds if kind.role in metric.roles]
        assert len({metric.name for metric in made}) == len(made)
        for metric in trial.metrics(switches):
            for kind in kinds:
                assert kind.role not in metric.roles or columns.count(metric.column(kind)) == 1, metric.column(kind)


def it_scores_what_a_model_answers(trial: MetricTrial) -> None:
    """A score is a number, or NaN with a reason; the same answers have the same score."""
    backbone, case = trial.kit.backbone("tiny-llava"), trial.case
    for switches in PROTOCOLS.values():
        for metric in trial.metrics(switches):
            answers = ask(backbone, case, [metric], write(backbone, case, [metric]))
            assert answers
            for (index, _), answer in answers.items():
                probe, before = case.probes[index], answer if metric.reference else None
                score, again = (metric.score(probe, before, answer) for _ in range(2))
                assert math.isnan(score.value) == (score.reason is not None)
                assert repr(score) == repr(again)
                assert score.n_scored >= 0


def it_loads_no_torch(trial: MetricTrial) -> None:
    """A table is made without loading torch, so that it is there in less than a second."""
    module = registry.import_string("metrics", trial.name).partition(":")[0]
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603


CLAIMS: tuple[Claim, ...] = (
    it_keeps_the_protocol,
    its_names_and_columns_are_its_own,
    it_scores_what_a_model_answers,
    it_loads_no_torch,
)


def metric_contract(*names: str) -> Callable[..., None]:
    """Return a test of every claim for each of these metrics, by their registered names."""

    @pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
    @pytest.mark.parametrize("metric", names)
    def test_metric(metric: str, claim: Claim, request: pytest.FixtureRequest) -> None:
        claim(MetricTrial(shared_kit(request), metric))

    return test_metric
