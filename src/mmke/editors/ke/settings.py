"""What `ke.toml` states, what can be wrong with it, and how the rates rise and fall."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from mmke.editing import sites
from mmke.protocols import Training


@dataclass(frozen=True)
class KESettings:
    """The settings of KE.

    Attributes:
        sites: the edited matrices, by role.
        embedding: whether the text is embedded by a trained copy of the backbone's table, or by the table itself.
        lstm: width of the text's reader in each direction.
        condition: width of what it makes of the text.
        conditioner: hidden width of each matrix's network.
        max_scale: the largest factor before a change.
        condition_tokens: tokens of the text that are read; 0: all.
        begin_before_image: whether a query with a picture begins with the beginning of sequence even where the model's
            own prompt has none (MiniGPT-4).
        learning_rate: RMSprop's, of the learner.
        multiplier_learning_rate: RMSprop's, of the multiplier.
        warm_up: steps of the optimizer over which both rates rise.
        margin: what the size of a change may have for nothing.
        margin_factor: what the margin is multiplied by after a good validation.
        margin_accuracy: a validation with more than this share of tokens right is good.
        margin_least: where the margin stays.
        steps: see `protocols.Training`, also for the rest.
        gradient_accumulation_steps: see `steps`.
        validate_every: see `steps`.
        validation_records: see `steps`.
    """

    sites: tuple[str, ...]
    embedding: Literal["own", "backbone"]
    lstm: int
    condition: int
    conditioner: int
    max_scale: float
    condition_tokens: int
    begin_before_image: bool
    learning_rate: float
    multiplier_learning_rate: float
    warm_up: int
    margin: float
    margin_factor: float
    margin_accuracy: float
    margin_least: float
    steps: int
    gradient_accumulation_steps: int
    validate_every: int
    validation_records: int

    def training(self) -> Training:
        """Return how it is trained: to the end, and without clipping, as published."""
        return Training(
            steps=self.steps,
            gradient_accumulation_steps=self.gradient_accumulation_steps,
            max_grad_norm=math.inf,
            validate_every=self.validate_every,
            validation_records=self.validation_records,
            patience=self.steps,
        )


def schedule(values: KESettings) -> Callable[[int], float]:
    """Return the factor of the rates by the number of steps taken: a linear rise, then a linear fall to nothing."""
    end = -(-values.steps // values.gradient_accumulation_steps)

    def factor(taken: int) -> float:
        if taken < values.warm_up:
            return taken / values.warm_up
        return max(0.0, (end - taken) / max(1, end - values.warm_up))

    return factor


def problems(values: KESettings) -> Iterator[str]:
    """Say what is wrong with the settings."""
    yield from sites.site_problems(values.sites)
    if "alignment" in values.sites:
        yield "sites name 'alignment'; KE edits matrices of the language model"
    counts = ("lstm", "condition", "conditioner", "gradient_accumulation_steps", "validation_records")
    yield from (
        f"{name} = {getattr(values, name)}; it counts from 1 up" for name in counts if getattr(values, name) < 1
    )
    yield from (
        f"{name} = {getattr(values, name)}; it counts from 0 up"
        for name in ("condition_tokens", "warm_up", "steps", "validate_every")
        if getattr(values, name) < 0
    )
    rates = ("max_scale", "learning_rate", "multiplier_learning_rate", "margin", "margin_least")
    yield from (
        f"{name} = {getattr(values, name)}; it is a finite number above 0"
        for name in rates
        if not 0 < getattr(values, name) < math.inf
    )
    yield from (
        f"{name} = {getattr(values, name)}; it is a share between 0 and 1"
        for name in ("margin_factor", "margin_accuracy")
        if not 0 <= getattr(values, name) <= 1
    )
