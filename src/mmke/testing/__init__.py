"""Contract tests for whoever writes an editor, a backbone, a benchmark or a metric, in this package or elsewhere.

Example::

    from mmke.testing import editor_contract

    test_mine = editor_contract("mine")

Written into a file `test_mine.py`, this is a test of every claim in `mmke.testing.editors` on every architecture in
`TINY`, for pytest to run; "mine" is a name that an installed package registers. Nothing is downloaded. It needs pytest:
`pip install 'mmke[testing]'`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("mmke.testing needs pytest: pip install 'mmke[testing]'", name=error.name) from error

if TYPE_CHECKING:
    from mmke.testing.backbones import backbone_contract
    from mmke.testing.benchmarks import benchmark_contract
    from mmke.testing.editors import IN_SHORT, editor_contract
    from mmke.testing.kit import ARCHITECTURES, LIBRARY, TINY, Kit, shared_kit
    from mmke.testing.metrics import metric_contract
    from mmke.testing.routing import routing_contract
    from mmke.testing.streams import STREAM_IN_SHORT, stream_contract
    from mmke.testing.trained import trained_editor_contract

__all__ = [
    "ARCHITECTURES",
    "IN_SHORT",
    "LIBRARY",
    "STREAM_IN_SHORT",
    "TINY",
    "Kit",
    "backbone_contract",
    "benchmark_contract",
    "editor_contract",
    "metric_contract",
    "routing_contract",
    "shared_kit",
    "stream_contract",
    "trained_editor_contract",
]

_HOMES = {
    "backbones": ("backbone_contract",),
    "benchmarks": ("benchmark_contract",),
    "editors": ("IN_SHORT", "editor_contract"),
    "kit": ("ARCHITECTURES", "LIBRARY", "TINY", "Kit", "shared_kit"),
    "metrics": ("metric_contract",),
    "routing": ("routing_contract",),
    "streams": ("STREAM_IN_SHORT", "stream_contract"),
    "trained": ("trained_editor_contract",),
}

# pytest shows the values of a failed assertion in modules that are named here before they are imported.
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _HOMES))


def __getattr__(name: str) -> Any:
    # Imported when asked for, so that small records alone do not load torch.
    for part, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{part}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
