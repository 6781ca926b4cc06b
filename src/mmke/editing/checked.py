"""What the values of an editor's settings may be: a pydantic model for each editor, one message for all mistakes.

In: plain values, and where each comes from. Out: the frozen settings of an editor, or a `UserError` that names each
wrong value, what it should be, and its place.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmke import renamed
from mmke.errors import UserError

FromOne = Annotated[int, Field(ge=1, description="it counts from 1 up")]
FromZero = Annotated[int, Field(ge=0, description="it counts from 0 up")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, description="it is a finite number above 0")]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, description="it is a finite number, 0 or more")]
Finite = Annotated[float, Field(allow_inf_nan=False, description="it is a finite number")]
Share = Annotated[float, Field(ge=0, le=1, description="it is a share between 0 and 1")]


class EditorSettings(BaseModel):
    """The base of every editor's settings.

    No value has a default, since the editor's file states it; unknown keys and values of other types are refused; what
    is made cannot be changed. A validator of a subclass raises `ValueError` with a message that names the key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


S = TypeVar("S", bound=EditorSettings)


class Values(dict[str, Any]):
    """Settings as plain values; `sources` says for each key where it comes from: a file, or an option."""

    def __init__(
        self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), sources: Mapping[str, str] | None = None
    ) -> None:
        # Without sources too: `dataclasses.asdict` copies a dict by calling its type with its items.
        super().__init__(values)
        self.sources = dict(sources or {})


def sources_of(values: Mapping[str, Any]) -> Mapping[str, str]:
    """Return where values come from, as far as it is known."""
    return values.sources if isinstance(values, Values) else {}


def build(kind: type[S], values: Mapping[str, Any], *, editor: str) -> S:
    """Make an editor's settings of plain values, reporting all problems at once.

    Raises:
        UserError: unknown keys (with the nearest match), missing keys, values of the wrong type or out of range.
    """
    try:
        # TOML has lists; settings cannot be changed, so they hold tuples.
        return kind.model_validate({key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
    except ValidationError as error:
        # An element of a list is told by its list, once.
        earlier = renamed.SETTINGS.get(editor, {})
        found = dict.fromkeys(_problem(kind, each, values, earlier) for each in error.errors())
    raise UserError(f"settings of {editor}: {'; '.join(found)}")


def unknown(key: str, names: Iterable[str], earlier: Mapping[str, str] | None = None) -> str:
    """Say that a key is none of the known ones, with its name of today if it is an earlier one, or the nearest name."""
    known = list(names)
    if earlier is not None and key in earlier:
        return f"unknown key {key!r} (it is called {earlier[key]!r} now)"
    near = difflib.get_close_matches(key, known, n=1)
    return f"unknown key {key!r}" + (f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(known)})")


def _problem(kind: type[EditorSettings], error: Any, values: Mapping[str, Any], earlier: Mapping[str, str]) -> str:
    """Say one mistake: the key, its value, what it should be, and where it stands; `earlier` has names of once."""
    key = str(error["loc"][0]) if error["loc"] else ""
    place = f" ({sources_of(values)[key]})" if key in sources_of(values) else ""
    if error["type"] == "missing" and len(error["loc"]) == 1:  # else an element of a list
        return f"{key} is missing"
    if error["type"] == "extra_forbidden":
        return unknown(key, kind.model_fields, earlier) + place
    if error["type"] == "value_error":
        return f"{error['ctx']['error']}{place}"
    field, value = kind.model_fields[key], values[key]
    if field.description is None or error["type"].endswith("_type"):
        return f"{key} = {value!r} is {_no(field.annotation)}{place}"
    return f"{key} = {float(value) if field.annotation is float else repr(value)}; {field.description}{place}"


def _no(kind: Any) -> str:
    if get_origin(kind) is tuple:
        of = get_args(kind)
        return 'no list, such as ["a", "b"]' if of[-1] is Ellipsis else f"no list of {len(of)} finite numbers"
    if get_origin(kind) is Literal:
        return f"none of {', '.join(map(repr, get_args(kind)))}"
    return f"no {getattr(kind, '__name__', kind)}"
