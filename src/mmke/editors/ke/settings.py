"""What `ke.toml` states, and how the rates rise and fall."""

import math
from collections.abc import Callable
from typing import Literal

from mmke.editing import sites
from mmke.editing.checked import EditorSettings, FromOne, FromZero, Positive, Share
from mmke.protocols import Training


class KESettings(EditorSettings):
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

    sites: sites.MatrixSites
    embedding: Literal["own", "backbone"]
    lstm: FromOne
    condition: FromOne
    conditioner: FromOne
    max_scale: Positive
    condition_tokens: FromZero
    begin_before_image: bool
    learning_rate: Positive
    multiplier_learning_rate: Positive
    warm_up: FromZero
    margin: Positive
    margin_factor: Share
    margin_accuracy: Share
    margin_least: Positive
    steps: FromZero
    gradient_accumulation_steps: FromOne
    validate_every: FromZero
    validation_records: FromOne

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
