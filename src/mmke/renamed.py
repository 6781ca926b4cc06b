"""Settings that were renamed or came later, so that checkpoints and results of earlier versions are still read."""

from collections.abc import Mapping
from typing import Any

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "ft-llm": {"rate": "learning_rate"},
    "ft-alignment": {"rate": "learning_rate"},
    "serac": {
        "rate": "learning_rate",
        "scope_rate": "scope_learning_rate",
        "accumulate": "gradient_accumulation_steps",
        "clip": "max_grad_norm",
    },
    "mend": {
        "rate": "learning_rate",
        "accumulate": "gradient_accumulation_steps",
        "clip": "max_grad_norm",
    },
    "ke": {
        "rate": "learning_rate",
        "multiplier_rate": "multiplier_learning_rate",
        "accumulate": "gradient_accumulation_steps",
    },
}
"""Earlier names of settings, and today's, by editor: what one editor once called so is a setting of today of another.

WISE, for one, has a `clip` of its own. An editor that is not here never had other names.
"""


PUBLISHED: Mapping[str, Mapping[str, str]] = {
    "serac": {"published_counterfactual": "counterfactual", "published_layers": "layers"}
}
"""Settings that were kept beside those of `strict` and acted under `paper` alone, and today's names, by editor."""

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

    Settings of today come back as they are.

    Args:
        settings: as an earlier version wrote them.
        editor: whose they are.
        protocol: under which it was run or trained.
    """
    published = protocol == "paper"
    later = {name: values[published] for name, values in LATER.get(editor, {}).items()}
    today = SETTINGS.get(editor, {})
    return {**later, **{today.get(name, name): value for name, value in settings.items()}}


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
    acted = {today: named.pop(name) for name, today in PUBLISHED.get(editor, {}).items() if name in named}
    # Under `paper` no picture was compared, whatever the settings said.
    return {**named, **acted, "picture_head": 0} if acted and published else named
