"""A case as one line of `cases.jsonl`, and back: its edits, its questions, and the prompts that the model read.

It is kept once a case, so that rows are small and a page can be made from the folder alone. A picture is named by its
digest and by its path: below the package's own folder from there (`mmke/benchmarks/…`), else as the benchmark gave it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from mmke.lines import json_object, to_line, validated
from mmke.types import Edit, EditCase, ImageRef, Probe, ProbeKind, Query

PACKAGE = Path(__file__).parents[1]


class KeptCase(NamedTuple):
    """A case, and for each probe the text that the unedited model read; None where the model does not tell."""

    case: EditCase
    prompts: tuple[str | None, ...]


class _Picture(TypedDict):
    path: str
    sha256: str
    upright: bool


class _EditLine(TypedDict):
    question: str
    image: _Picture | None
    target: str
    original: str | None


class _ProbeLine(TypedDict):
    kind: str
    question: str
    image: _Picture | None
    target: str
    tags: dict[str, str]
    prompt: str | None


class _CaseLine(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]

    case_id: str
    edits: list[_EditLine]
    probes: list[_ProbeLine]
    unscored: dict[str, str]
    prompts_sha256: str


_ADAPTER = TypeAdapter(_CaseLine)


def case_line(case: EditCase, prompts: Sequence[str | None] = ()) -> bytes:
    """Return a case as a line; `prompts` are those of its probes, none where they are not known."""
    rendered = list(prompts) or [None] * len(case.probes)
    return to_line(
        {
            "case_id": case.id,
            "edits": [_edit(edit) for edit in case.edits],
            "probes": [_probe(probe, prompt) for probe, prompt in zip(case.probes, rendered, strict=True)],
            "unscored": {kind.name: reason for kind, reason in case.unscored.items()},
            "prompts_sha256": digest(rendered),
        }
    )


def parse_case(line: bytes, kinds: Mapping[str, ProbeKind]) -> KeptCase:
    """Return what a line holds.

    Raises:
        ValueError: not JSON, or not a case, or a probe of an unknown kind.
        TypeError: it is not an object.
    """
    plain = validated(_ADAPTER.validate_python, json_object(line))
    edits = tuple(
        Edit(Query(edit["question"], _image(edit["image"])), edit["target"], edit["original"])
        for edit in plain["edits"]
    )
    probes = tuple(
        Probe(
            _kind(probe["kind"], kinds),
            Query(probe["question"], _image(probe["image"])),
            probe["target"],
            probe["tags"],
        )
        for probe in plain["probes"]
    )
    unscored = {_kind(name, kinds): reason for name, reason in plain["unscored"].items()}
    return KeptCase(
        EditCase(plain["case_id"], edits, probes, unscored), tuple(probe["prompt"] for probe in plain["probes"])
    )


def digest(prompts: Sequence[str | None]) -> str:
    """Return the digest of rendered prompts."""
    text = "\0".join(prompt or "" for prompt in prompts)
    return hashlib.sha256(text.encode("utf-8", errors="backslashreplace")).hexdigest()


def _kind(name: str, kinds: Mapping[str, ProbeKind]) -> ProbeKind:
    if name not in kinds:
        raise ValueError(f"the probe kind {name!r} is not among those of run.json: {', '.join(kinds)}")
    return kinds[name]


def _edit(edit: Edit) -> dict[str, Any]:
    return {
        "question": edit.query.text,
        "image": _picture(edit.query.image),
        "target": edit.target,
        "original": edit.original,
    }


def _probe(probe: Probe, prompt: str | None) -> dict[str, Any]:
    return {
        "kind": probe.kind.name,
        "question": probe.query.text,
        "image": _picture(probe.query.image),
        "target": probe.target,
        "tags": dict(sorted(probe.tags.items())),
        "prompt": prompt,
    }


def _picture(image: ImageRef | None) -> _Picture | None:
    if image is None:
        return None
    # Two checkouts of the package write the same bytes.
    inside = image.path.is_relative_to(PACKAGE)
    path = image.path.relative_to(PACKAGE.parent) if inside else image.path
    return {"path": path.as_posix(), "sha256": image.sha256, "upright": image.upright}


def _image(picture: _Picture | None) -> ImageRef | None:
    if picture is None:
        return None
    path = Path(picture["path"])
    here = PACKAGE.parent / path if path.parts[:1] == (PACKAGE.name,) else path
    return ImageRef(here, picture["sha256"], picture["upright"])
