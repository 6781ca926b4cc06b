"""What every registered metric promises, whatever it measures."""

import subprocess
import sys
from typing import get_args

import pytest

from mmke import registry
from mmke.benchmarks.probes.published import KINDS
from mmke.types import PAPER, STRICT, Metric, Role, Switches

NAMES = sorted(registry.BUILT_IN["metrics"])


def all_metrics(switches: Switches) -> list[Metric]:
    return [metric for name in NAMES for metric in registry.factory("metrics", name)(switches)]


@pytest.mark.parametrize("switches", [STRICT, PAPER])
def test_every_metric_keeps_the_protocol(switches: Switches) -> None:
    for metric in all_metrics(switches):
        assert isinstance(metric, Metric)
        assert set(metric.roles) <= set(get_args(Role))


@pytest.mark.parametrize("switches", [STRICT, PAPER])
def test_names_and_columns_are_unique(switches: Switches) -> None:
    metrics = all_metrics(switches)
    columns = [metric.column(kind) for metric in metrics for kind in KINDS if kind.role in metric.roles]
    assert len({metric.name for metric in metrics}) == len(metrics)
    assert len(set(columns)) == len(columns)


def test_metrics_load_no_torch() -> None:
    modules = sorted({where.partition(":")[0] for where in registry.BUILT_IN["metrics"].values()})
    program = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603
