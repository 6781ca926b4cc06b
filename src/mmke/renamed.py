"""Names of settings that were changed, so that checkpoints and results of earlier versions are still read."""

from collections.abc import Mapping
from typing import Any

SETTINGS: Mapping[str, str] = {
    "rate": "learning_rate",
    "scope_rate": "scope_learning_rate",
    "multiplier_rate": "multiplier_learning_rate",
    "accumulate": "gradient_accumulation_steps",
    "clip": "max_grad_norm",
}
"""Earlier names of editors' settings, and today's."""


def current(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under today's names."""
    return {SETTINGS.get(name, name): value for name, value in settings.items()}
