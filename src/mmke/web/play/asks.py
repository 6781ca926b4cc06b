"""What the page may send; everything has a type and a bound."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

TabId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
PictureId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(max_length=100)]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Editors = Annotated[list[Name], Field(max_length=12)]
Tokens = Annotated[int, Field(ge=1, le=256)]


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class AskTab(_Ask):
    """Who asks."""

    tab: TabId


class AskOpen(_Ask):
    """A tab that begins, or that was loaded again."""

    tab: TabId | None = None


class AskRecord(_Ask):
    """A record of the embedded data, by its id."""

    record: Name


class AskQuestion(AskTab):
    """A question, about a picture if there is one, to the unedited model and to editors."""

    question: Text
    picture: PictureId | None = None
    editors: Editors = []
    most: Tokens = 40


class PlainEdit(_Ask):
    """An edit; `record` is where it comes from."""

    question: Text
    target: Text
    picture: PictureId | None = None
    record: Name | None = None


class AskEdit(AskTab):
    """An edit on top of those before, by one or several editors."""

    edit: PlainEdit
    editors: Annotated[Editors, Field(min_length=1)]
    most: Tokens = 40


class AskRepeat(AskTab):
    """Edits that the page remembers of a session that is gone."""

    edits: Annotated[list[PlainEdit], Field(max_length=20)]
    editors: Annotated[Editors, Field(min_length=1)]


class AskUndo(AskTab):
    """Take back the last edit, or all."""

    all: bool = False


class AskSave(AskTab):
    """Save the edits of one editor."""

    editor: Name
