"""Settings that were renamed or came later, so that checkpoints and results of earlier versions are still read."""

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


PUBLISHED: Mapping[str, str] = {"published_counterfactual": "counterfactual", "published_layers": "layers"}
"""Settings of SERAC that were kept beside those of `strict` and acted under `paper` alone, and today's names."""

SWITCHES: Mapping[str, Mapping[str, tuple[Any, Any]]] = {
    "mend": {"statistics": ("first pass", "running")},
    "ke": {"condition_tokens": (0, 32), "begin_before_image": (False, True)},
    "serac": {
        "scope": ("decided", "soft"),
        "scope_key": ("question", "question and answer"),
        "projection": ("trained", "random"),
    },
}
"""Settings of trained editors that the protocol decided alone: their values under `strict` and under `paper`."""

LATER: Mapping[str, Mapping[str, tuple[Any, Any]]] = {
    "ike": {"memory": ("retrieve", "newest")},
    "ike-random": {"memory": ("retrieve", "newest"), "encoder": ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2")},
    "mend": {
        "gradients_at": ("edited weights", "edited weights"),
        "statistics_while_editing": ("frozen", "frozen"),
    },
}
"""Settings of editors that earlier versions did not have: the values that acted there, under `strict` and `paper`.

With a single edit, every value of IKE's `memory` gives the same rows.
"""


def current(settings: Mapping[str, Any], *, editor: str, protocol: str) -> dict[str, Any]:
    """Return settings under today's names, with those that earlier versions did not have.

    Args:
        settings: as an earlier version wrote them.
        editor: whose they are.
        protocol: under which it was run or trained.
    """
    published = protocol == "paper"
    later = {name: values[published] for name, values in LATER.get(editor, {}).items()}
    return {**later, **{SETTINGS.get(name, name): value for name, value in settings.items()}}


def trained(settings: Mapping[str, Any], *, editor: str, protocol: str) -> dict[str, Any]:
    """Return the settings of a checkpoint under today's names, with those that only its protocol stated.

    Args:
        settings: as an earlier version wrote them.
        editor: that was trained.
        protocol: under which it was trained.
    """
    published = protocol == "paper"
    stated = {name: values[published] for name, values in SWITCHES.get(editor, {}).items()}
    named = {**stated, **current(settings, editor=editor, protocol=protocol)}
    acted = {PUBLISHED[name]: named.pop(name) for name in PUBLISHED if name in named}
    # Under `paper` no picture was compared, whatever the settings said.
    return {**named, **acted, "picture_head": 0} if acted and published else named
