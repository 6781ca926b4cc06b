"""A record as the page shows it: plain data, and nothing that the person may not see."""

from collections.abc import Iterable, Sequence
from typing import Any

from mmke.build.content import Change, Question, Verdict
from mmke.build.log import Entry, digest_of
from mmke.build.protocols import Finding
from mmke.build.record import Record

_LABELS = {
    "t_rel": "Text reliability",
    "i_rel": "Image reliability",
    "i_gen": "Image generalisation",
    "port": "Portability",
    "t_loc": "Text locality",
    "i_loc": "Image locality",
}
"""What the kinds of question are called; a number is put behind where a record has several of a kind."""

_TEXTS = (("prompt", "Prompt"), ("rephrase", "Prompt, rephrased"))


def content_of(record: Record, findings: Iterable[Finding]) -> dict[str, Any]:
    """Return what everybody sees of a record."""
    draft = record.edit.draft
    texts = record.edit.texts
    return {
        "record": record.id,
        "kind": draft.kind,
        "type": draft.subject.type,
        "subject": draft.subject.name,
        "pictured": draft.pictured.name,
        "user": draft.user,
        "pictures": pictures_of(record),
        "changes": [_change(change, record) for change in draft.changes],
        "prompts": [{"name": name, "label": label, "text": getattr(texts, name)} for name, label in _TEXTS],
        "original": {"name": "original", "text": texts.original, "marks": _old_values(record)},
        "target": {"name": "target", "text": texts.target, "marks": [change.after for change in draft.changes]},
        "replaced": [change.before for change in draft.changes if change.before],
        "questions": [_question(question) for question in record.asked.questions],
        "findings": [plain_finding(finding) for finding in findings],
        "tags": dict(record.tags),
    }


def pictures_of(record: Record) -> list[dict[str, str]]:
    """Return role and caption of every picture of a record, in the order in which they are shown."""
    draft = record.edit.draft
    subject, pictured = draft.subject.name, draft.pictured.name
    shown = {"subject": ("Subject", f"{subject} as it really is", f"the subject's own picture: {subject}")}
    swapped = draft.kind != "user"
    says = f"shows {pictured}, edited to be {subject}" if swapped else f"shows {pictured}"
    shown["edit"] = ("Edit", says, f"the edited picture: {pictured}")
    shown["rephrase"] = ("Rephrase", f"another picture of {pictured}", f"another picture of {pictured}")
    shown["one_hop"] = ("Side by side", "asked about in portability", _beside(record))
    shown["locality"] = ("Locality", "must stay as it is", "an unrelated picture")
    roles = set(record.pictures) | ({"subject"} if draft.subject_picture else set())
    roles |= {"one_hop"} if record.asked.one_hop else set()
    return [
        {"role": role, "title": title, "caption": caption, "alt": alt}
        for role, (title, caption, alt) in shown.items()
        if role in roles
    ]


def _beside(record: Record) -> str:
    plan = next((q.plan for q in record.asked.questions if q.plan.picture == "one_hop"), None)
    pictured = record.edit.draft.pictured.name
    if plan is None or plan.side is None:
        return f"{pictured} and another thing side by side"
    other = plan.beside or "another thing"
    left, right = (pictured, other) if plan.side == "left" else (other, pictured)
    return f"{left} on the left, {right} on the right"


def _change(change: Change, record: Record) -> dict[str, Any]:
    return {"relation": change.relation.replace("_", " "), "before": change.before, "after": change.after}


def _old_values(record: Record) -> list[str]:
    """Return the values in the description before the edit that the edit alters: those of what the picture shows."""
    draft = record.edit.draft
    values = [draft.pictured.value(change.relation) for change in draft.changes] if draft.kind != "user" else []
    return [value for value in values if value]


def _question(question: Question) -> dict[str, Any]:
    plan = question.plan
    kind, _, number = plan.key.rpartition("_") if plan.key[-1].isdigit() else (plan.key, "", "")
    label = f"{_LABELS[kind]} {number}" if number else _LABELS[kind]
    return {
        "key": plan.key,
        "label": label,
        "question": question.text,
        "answer": plan.answer,
        "before": plan.before,
        "picture": plan.picture,
        "source": question.source,
    }


def plain_finding(finding: Finding) -> dict[str, str]:
    """Return a finding as the page shows it."""
    return {"rule": finding.rule, "place": finding.place, "message": finding.message}


def own_of(entry: Entry[Verdict] | None) -> dict[str, Any] | None:
    """Return a person's own verdict."""
    return None if entry is None else {"key": entry.id, **_decision(entry.content)}


def sides_of(record: Record, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return the verdicts that disagree, without names, in an order that tells nothing of who came first."""
    shuffled = sorted(verdicts, key=lambda verdict: digest_of("side", record.id, verdict.annotator))
    return [_decision(verdict) for verdict in shuffled]


def _decision(verdict: Verdict) -> dict[str, Any]:
    return {
        "decision": verdict.decision,
        "reasons": list(verdict.reasons),
        "comment": verdict.comment,
        "corrections": dict(verdict.corrections),
    }
