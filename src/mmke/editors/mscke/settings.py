"""What `mscke.toml` states."""

from typing import Literal

from pydantic import model_validator

from mmke.editing.checked import FromZero
from mmke.editing.sentence_encoder import PACKAGED
from mmke.editors.serac.settings import CounterfactualSettings


class MSCKESettings(CounterfactualSettings):
    """The settings of MSCKE.

    Attributes:
        encoder: a CLIP model; or a text encoder that a package carries, beside which the backbone reads the pictures.
        encoder_trained: whether all of CLIP is trained, and saved.
        head: width of the two trained layers behind each of the encoder's vectors; 0: none.
        key: the text of an edit that questions are compared with.
    """

    encoder: str
    encoder_trained: bool
    head: FromZero
    key: Literal["question", "question and answer"]

    @model_validator(mode="after")
    def _something_is_trained(self) -> "MSCKESettings":
        if self.encoder_trained and self.encoder in PACKAGED:
            raise ValueError(
                f"encoder_trained = true needs a CLIP model as encoder; beside {self.encoder!r} the backbone reads the "
                "pictures, and it is never trained"
            )
        if not self.encoder_trained and not self.head:
            raise ValueError(
                "head = 0 and encoder_trained = false leave nothing of the scope classifier to train; give head a width"
            )
        return self
