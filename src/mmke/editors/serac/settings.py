"""What `serac.toml` states, and what can be wrong with it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mmke.protocols import Training


@dataclass(frozen=True)
class SERACSettings:
    """The settings of SERAC.

    Attributes:
        encoder: text encoder of the scope classifier.
        encoder_trained: whether its weights are trained, and saved.
        pooling: how its states become one: the first token's, or their mean.
        head: width of a trained linear layer behind it; 0: none.
        picture_head: width of one behind a picture's embedding; 0: pictures are not compared.
        scope: whether the classifier decides which of the two models answers, and is trained to decide, or both are
            mixed by how near the edit is.
        scope_key: what the classifier reads of a probe; with its answer, which is the gold one, as published.
        counterfactual: the counterfactual model; "own": the backbone's language model, "random": one of its shape with
            random weights, for time and memory.
        projection: through which a counterfactual model of another width reads pictures: a trained one, or a random
            one, drawn for each edit.
        embeddings: of the text in another counterfactual model: its own, or the backbone's.
        held: precision of its tensors that are not trained.
        layers: trained, from the last; 0: the whole decoder.
        rank: of the change of each of their matrices; 0: copies of all their tensors.
        learning_rate: Adam's, of the counterfactual model.
        scope_learning_rate: of the scope classifier.
        edit_weight: of the paraphrase's loss.
        image_edit_weight: of the loss on another picture.
        locality_weight: of the divergence on unrelated questions.
        scope_weight: of the scope classifier's loss.
        negatives: unrelated questions of other training records in that loss.
        steps: see `protocols.Training`, also for the rest.
        gradient_accumulation_steps: see `steps`.
        max_grad_norm: see `steps`.
        validate_every: see `steps`.
        validation_records: see `steps`.
        patience: see `steps`.
    """

    encoder: str
    encoder_trained: bool
    pooling: Literal["first", "mean"]
    head: int
    picture_head: int
    scope: Literal["decided", "soft"]
    scope_key: Literal["question", "question and answer"]
    counterfactual: str
    projection: Literal["trained", "random"]
    embeddings: Literal["own", "base"]
    held: Literal["float32", "half", "int8"]
    layers: int
    rank: int
    learning_rate: float
    scope_learning_rate: float
    edit_weight: float
    image_edit_weight: float
    locality_weight: float
    scope_weight: float
    negatives: int
    steps: int
    gradient_accumulation_steps: int
    max_grad_norm: float
    validate_every: int
    validation_records: int
    patience: int

    def training(self) -> Training:
        """Return how it is trained."""
        return Training(
            self.steps,
            self.gradient_accumulation_steps,
            self.max_grad_norm,
            self.validate_every,
            self.validation_records,
            self.patience,
        )


def problems(values: SERACSettings) -> Iterator[str]:
    """Say what is wrong with settings."""
    for name in ("gradient_accumulation_steps", "validation_records", "patience"):
        if getattr(values, name) < 1:
            yield f"{name} = {getattr(values, name)}; it counts from 1 up"
    for name in ("head", "picture_head", "layers", "rank", "negatives", "steps", "validate_every"):
        if getattr(values, name) < 0:
            yield f"{name} = {getattr(values, name)}; it counts from 0 up"
    for name in ("learning_rate", "scope_learning_rate", "max_grad_norm"):
        if not 0 < getattr(values, name) < math.inf:
            yield f"{name} = {getattr(values, name)}; it is a finite number above 0"
    for name in ("edit_weight", "image_edit_weight", "locality_weight", "scope_weight"):
        if not 0 <= getattr(values, name) < math.inf:
            yield f"{name} = {getattr(values, name)}; it is a finite number, 0 or more"
    if not values.encoder_trained and not values.head:
        yield "head = 0 and encoder_trained = false leave nothing of the scope classifier to train; give head a width"
