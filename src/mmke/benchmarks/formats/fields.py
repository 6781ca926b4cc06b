"""A raw record's fields, read one by one: whatever is wrong with one is reported, and reading goes on."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mmke.benchmarks.formats.record import Asked
from mmke.benchmarks.pictures import NO_PICTURE, Fault, Pictures
from mmke.benchmarks.problems import Report
from mmke.types import ImageRef

HOPS = (1, 2, 3, 4)
MEANT = {"portability": "port_new", "port": "port_new"}
"""Names that stand in other data sets for what is read here under another one."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one record.

    Attributes:
        raw: the record as the file has it.
        report: takes problems.
        pictures: where pictures are looked for.
        thorough: whether an empty question or answer is a problem; in a run it leaves out that question alone.
    """

    raw: Mapping[str, object]
    report: Report
    pictures: Pictures
    thorough: bool = True

    def asked(self, question: tuple[str, ...], answer: tuple[str, ...]) -> Asked:
        """Return a question with its answer, each the first of these fields that is present."""
        return Asked(self.text(*question, needed=False), self.text(*answer, needed=False))

    def text(self, *names: str, needed: bool = True, may_be_empty: bool = False) -> str:
        """Return the first of these fields that is present; "" after a problem was reported.

        Args:
            names: of fields that mean the same.
            needed: whether the record is of no use without it; else a run leaves out the question that it belongs to.
            may_be_empty: whether an empty text is in order.
        """
        name = next((name for name in names if name in self.raw), None)
        if name is None:
            self.report(" or ".join(names), "missing; expected a text")
            return ""
        value = self.raw[name]
        if not isinstance(value, str):
            self.report(name, f"expected a text, found {kind_of(value)}")
            return ""
        if not value.strip() and not may_be_empty:
            if needed:
                self.report(name, "empty; expected a text")
            elif self.thorough:
                self.report(name, "empty; expected a text (a run leaves out this question alone)", stops=False)
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            # JSON lets it pass, and no tokenizer or file would.
            self.report(name, f"holds half a character (a lone surrogate): {value!r}")
        return value

    def picture(self, name: str) -> ImageRef:
        """Return the picture whose path a field holds."""
        value = self.text(name)
        if not value.strip():
            return NO_PICTURE
        found = self.pictures.find(value)
        if isinstance(found, Fault):
            self.report(name, found.text, stops=found.stops)
            return NO_PICTURE
        return found

    def hops(self) -> dict[int, Asked] | None:
        """Return the first portability question of each hop, later ones being never asked; None without any.

        They stand in the list `port_new`, or, of one hop, as `port_q` and `port_a`.
        """
        if "port_new" not in self.raw:
            return {1: self.asked(("port_q",), ("port_a",))} if {"port_q", "port_a"} & self.raw.keys() else None
        entries = self.raw["port_new"]
        if not isinstance(entries, list):
            self.report("port_new", f"expected a list of questions, found {kind_of(entries)}")
            return {}
        hops: dict[int, Asked] = {}
        for place, entry in enumerate(entries):
            read = self._hop(entry, f"port_new[{place}]")
            if read is not None:
                hops.setdefault(*read)
        return hops

    def _hop(self, entry: object, name: str) -> tuple[int, Asked] | None:
        if not isinstance(entry, dict):
            self.report(name, f'expected an object with "port_type" and "Q&A", found {kind_of(entry)}')
            return None
        labels = {f"{hop}-hop": hop for hop in HOPS}
        port_type = entry.get("port_type")
        if not isinstance(port_type, str) or port_type not in labels:
            self.report(f"{name}.port_type", f"expected one of {', '.join(labels)}, found {port_type!r}")
            return None
        asked = entry.get("Q&A")
        if not isinstance(asked, dict):
            self.report(f'{name}."Q&A"', f'expected an object with "Question" and "Answer", found {kind_of(asked)}')
            return None
        inner = Fields(asked, replace(self.report, within=f'{name}."Q&A".'), self.pictures, self.thorough)
        return labels[port_type], inner.asked(("Question",), ("Answer",))

    def tags(self) -> dict[str, str]:
        """Return the record's own `tags`, an object of texts, and its fine-grained class `type_self` as one of them."""
        tags = self.raw.get("tags", {})
        if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
            self.report("tags", f"expected an object of texts, found {tags!r}")
            return {}
        if "knowledge" in tags:
            self.report("tags", "'knowledge' is set from knowledge_type; expected another name")
        return {**tags, "type_self": self.text("type_self")} if "type_self" in self.raw else tags


def meant(name: str, raw: Mapping[str, object], known: frozenset[str]) -> str:
    """Return the known name that was probably meant by an unknown one in a record, or ""."""
    near = difflib.get_close_matches(name.lower(), sorted(known - raw.keys()), n=1, cutoff=0.8)
    return MEANT.get(name) or (near[0] if near else "")


def kind_of(value: object) -> str:
    """Return in words what kind of JSON value this is."""
    names = {type(None): "nothing (null)", bool: "true or false", int: "a number", float: "a number"}
    names |= {str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "an object")
