"""The settings of WISE."""

from typing import Literal

from pydantic import model_validator

from mmke.editing import sites
from mmke.editing.checked import EditorSettings, FromZero, NotNegative, Positive, Share


class WiseSettings(EditorSettings):
    """What `wise.toml` states.

    Attributes:
        site: the matrix that has side copies, by role; see `sites.SITE`.
        activation: the positions over which an activation is the mean.
        act_ratio: of the smallest activation of an edit, from which on a side copy answers.
        mask_density: the share of entries that an edit may change.
        alpha: the activation of an irrelevant question, at most.
        beta: that of the edit's question, at least.
        gamma: their difference, at least.
        steps: of SGD for each edit, at most.
        learning_rate: SGD's.
        weight_decay: SGD's.
        clip: how far an entry may be from the model's own.
        stop: negative log-likelihood in nats from which on training ends, if it is settled; 0: all steps are taken.
        settled: the change of the negative log-likelihood between two steps up to which it is settled.
        freeze_after: edits after which a side copy is left as it is and a new one begins; 0: there is one.
        merge_after: edits after which all side copies become one; 0: they never do.
        merge_density: the share of entries of each that counts then.
    """

    site: sites.MlpSite
    activation: Literal["question", "question and picture"]
    act_ratio: NotNegative
    mask_density: Share
    alpha: NotNegative
    beta: NotNegative
    gamma: NotNegative
    steps: FromZero
    learning_rate: NotNegative
    weight_decay: NotNegative
    clip: Positive
    stop: NotNegative
    settled: NotNegative
    freeze_after: FromZero
    merge_after: FromZero
    merge_density: Share

    @model_validator(mode="after")
    def _merges_whole_memories(self) -> "WiseSettings":
        if self.merge_after and (not self.freeze_after or self.merge_after % self.freeze_after):
            raise ValueError(
                f"merge_after = {self.merge_after} and freeze_after = {self.freeze_after}: side copies are merged when "
                "the newest of them is complete, so merge_after is a multiple of freeze_after, or 0"
            )
        return self
