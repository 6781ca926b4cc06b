"""The pictures and records that come with the package, as the page shows them."""

from collections.abc import Mapping
from typing import Any

from mmke.benchmarks.open import open_benchmark
from mmke.types import STRICT, EditCase, ImageRef

KINDS: Mapping[str, str] = {
    "mini-entity": "Things that have facts",
    "mini-visual": "Signs and gestures",
    "mini-user": "Somebody's own",
}
CHANGES = ("t_rel", "i_rel", "i_gen", "port")
"""Kinds of question that an edit should change."""
EXAMPLE = "flag of Kenya"
"""The subject of the record that an empty page suggests: its first one."""


class Gallery:
    """The evaluation records of the embedded benchmarks and their pictures."""

    def __init__(self) -> None:
        """Read the records."""
        self.cases: dict[str, EditCase] = {}
        self.pictures: dict[str, ImageRef] = {}
        self._shown: list[dict[str, Any]] = []
        for name, label in KINDS.items():
            cases = open_benchmark(name, data=None).load("eval", hop=1, switches=STRICT).cases
            self.cases |= {f"{name} {case.id}": case for case in cases}
            self._shown.append({"label": label, "types": _types(name, cases)})
        for case in self.cases.values():
            for query in (*(edit.query for edit in case.edits), *(probe.query for probe in case.probes)):
                if query.image is not None:
                    self.pictures[query.image.sha256] = query.image

    def shown(self) -> list[dict[str, Any]]:
        """Return the kinds, in each the types, in each the edited pictures with their record's id and subject."""
        return self._shown

    def example(self) -> str:
        """Return the record that an empty page suggests."""
        return next(name for name, case in self.cases.items() if _tag(case, "subject") == EXAMPLE)

    def pictured(self, image: ImageRef | None) -> EditCase | None:
        """Return the first record that edits this picture."""
        return next((case for case in self.cases.values() if image and case.edits[0].query.image == image), None)

    def record(self, name: str) -> dict[str, Any] | None:
        """Return a record's edit and the questions that it should change; None: there is no such record."""
        case = self.cases.get(name)
        if case is None:
            return None
        edit = case.edits[0]
        asked = [probe for probe in case.probes if probe.kind.name in CHANGES]
        return {
            "record": name,
            "subject": _tag(case, "subject"),
            "question": edit.query.text,
            "target": edit.target,
            "picture": _id(edit.query.image),
            "questions": [
                {
                    "kind": probe.kind.label,
                    "question": probe.query.text,
                    "answer": probe.target,
                    "picture": _id(probe.query.image),
                }
                for probe in asked
            ],
        }


def _types(name: str, cases: tuple[EditCase, ...]) -> list[dict[str, Any]]:
    types: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        picture = _id(case.edits[0].query.image)
        shown = {"record": f"{name} {case.id}", "subject": _tag(case, "subject"), "picture": picture}
        types.setdefault(_tag(case, "type_self"), []).append(shown)
    return [{"type": kind, "records": records} for kind, records in types.items()]


def _id(image: ImageRef | None) -> str | None:
    return None if image is None else image.sha256


def _tag(case: EditCase, name: str) -> str:
    return case.probes[0].tags.get(name, "") if case.probes else ""
