"""What the page may send; everything has a type and a bound."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mmke.build.content import Turn

Name = Annotated[str, Field(max_length=200)]
Key = Annotated[str, Field(pattern=r"^[0-9a-f-]{16,64}$")]
Text = Annotated[str, Field(max_length=10_000)]
RecordId = Annotated[str, Field(max_length=500)]
Corrections = Annotated[dict[Name, Text], Field(max_length=50)]


class Ask(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    annotator: Name


class AskNext(Ask):
    """The next record, behind one that was shown."""

    after: RecordId | None = None


class AskRecord(Ask):
    """A certain record; `own_dispute` to adjudicate one's own disagreement."""

    record: RecordId
    own_dispute: bool = False


class AskCheck(Ask):
    """What the rules say of a correction."""

    record: RecordId
    corrections: Corrections


class AskDecide(Ask):
    """A verdict; see `Decided`."""

    key: Key
    record: RecordId
    content: Name
    over: Name | None
    turn: Turn
    decision: Literal["accept", "correct", "reject"]
    reasons: Annotated[list[Name], Field(max_length=50)] = []
    comment: Text = ""
    corrections: Corrections = {}
    seconds: Annotated[float, Field(ge=0)] = 0.0


class AskUndo(Ask):
    """Taking the last verdict back."""

    key: Key
    last: Name
