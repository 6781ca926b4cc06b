"""What `serac.toml` states, and which of it every editor with a counterfactual model states."""

from typing import Literal

from pydantic import model_validator

from mmke.editing.checked import EditorSettings, FromOne, FromZero, NotNegative, Positive
from mmke.protocols import Training


class CounterfactualSettings(EditorSettings):
    """The settings of a counterfactual model, and of its training beside a scope classifier.

    Attributes:
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

    counterfactual: str
    projection: Literal["trained", "random"]
    embeddings: Literal["own", "base"]
    held: Literal["float32", "half", "int8"]
    layers: FromZero
    rank: FromZero
    learning_rate: Positive
    scope_learning_rate: Positive
    edit_weight: NotNegative
    image_edit_weight: NotNegative
    locality_weight: NotNegative
    scope_weight: NotNegative
    negatives: FromZero
    steps: FromZero
    gradient_accumulation_steps: FromOne
    max_grad_norm: Positive
    validate_every: FromZero
    validation_records: FromOne
    patience: FromOne

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


class SERACSettings(CounterfactualSettings):
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
    """

    encoder: str
    encoder_trained: bool
    pooling: Literal["first", "mean"]
    head: FromZero
    picture_head: FromZero
    scope: Literal["decided", "soft"]
    scope_key: Literal["question", "question and answer"]

    @model_validator(mode="after")
    def _something_is_trained(self) -> "SERACSettings":
        if not self.encoder_trained and not self.head:
            raise ValueError(
                "head = 0 and encoder_trained = false leave nothing of the scope classifier to train; give head a width"
            )
        return self
