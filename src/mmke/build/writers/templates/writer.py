"""`templates`: a grammar puts edits and questions into words. It needs no model, and writes plain and correct English.

What it says of a relation and a type stands in `relations.toml` and `type_words.toml`, and in the project's own tables.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from random import Random

from mmke.build.content import Draft, Edit, EditTexts, Plan
from mmke.build.draws import in_order, rng
from mmke.build.project import Project
from mmke.build.protocols import Writer
from mmke.build.user_words import Tie
from mmke.build.wording import alike
from mmke.build.writers.templates import users
from mmke.build.writers.templates.describe import check_length, description, edited_description
from mmke.build.writers.templates.questions import worded
from mmke.errors import CannotWriteError

VERSION = "1"
NEAR = 0.75
"""Texts that agree as much are nearly the same (`wording.alike`); a little less than the rule on near-copies has."""

Prompts = Mapping[str, Mapping[str, Sequence[str]]]


def make(project: Project) -> Writer:
    """Write by a grammar of relations and types; no model is needed."""
    text = (files("mmke.build.writers.templates") / "prompts.toml").read_text(encoding="utf-8")
    return Templates(project, tomllib.loads(text))


class Templates:
    """The writer; see the module."""

    name = "templates"
    by: Mapping[str, str] = {"writer": "templates", "version": VERSION}

    def __init__(self, project: Project, prompts: Prompts) -> None:
        self._words, self._ties, self._prompts = project.words, project.user_words.ties, prompts
        self._bounds, self._seed = project.settings.write.words, project.settings.seed

    def describe(self, draft: Draft) -> EditTexts:
        """Put an edit into words.

        Raises:
            CannotWriteError: the description would be too short or too long, or say what it must not; or the edit's
                question would nearly be one of the questions about it.
        """
        prompt, rephrase = self._asked(draft)
        if draft.kind == "user":
            target = original = self._told(draft)
        else:
            target = edited_description(self._words, draft, self._rng(draft, "target"), bounds=self._bounds)
            original = self._original(draft)
        check_length(target, self._bounds)
        return EditTexts(prompt=prompt, rephrase=rephrase, original=original, target=target)

    def ask(self, edit: Edit, plans: Sequence[Plan]) -> Sequence[str]:
        """Put questions into words, one for each plan and in their order.

        Raises:
            CannotWriteError: the user's tie is unknown.
        """
        draft, beside = edit.draft, self._prompts["beside"]["questions"]
        rng = self._rng(draft, "ask")
        if draft.kind == "user":
            return users.worded(self._words, self._tie(draft), draft, plans, beside=beside, rng=rng)
        return worded(self._words, draft, plans, beside=beside, rng=rng)

    def _told(self, draft: Draft) -> str:
        return users.told(self._words, self._tie(draft), draft, self._rng(draft, "target"))

    def _tie(self, draft: Draft) -> Tie:
        tie = self._ties.get(str(draft.tie))
        if tie is None:
            raise CannotWriteError(f"its tie {draft.tie!r} is none of {', '.join(self._ties)}")
        return tie

    def _original(self, draft: Draft) -> str:
        thing = draft.pictured
        altered = [change.relation for change in draft.changes]
        told = [(relation, value) for relation in altered if (value := thing.value(relation)) is not None]
        looks = thing.looks if draft.kind == "semantic" else ""
        return description(self._words, thing, told, looks=looks, rng=self._rng(draft, "original"))

    def _asked(self, draft: Draft) -> tuple[str, str]:
        """Return two wordings of the edit's question, from different groups and in other words than the questions."""
        type_, groups = self._words.type(draft.subject.type), self._prompts[draft.kind]
        shown = {"shown": type_.shown, "noun": type_.noun, "user": draft.user}
        questions = list(self._questions(draft))
        found = []
        for name in in_order(groups, self._seed, draft.id, "prompts"):
            wordings = [wording.format(**shown) for wording in in_order(groups[name], self._seed, draft.id, name)]
            found += [text for text in wordings if not any(alike(text, each) >= NEAR for each in questions)][:1]
        if len(found) < 2:
            raise CannotWriteError("every wording of the edit's question is nearly one of the questions about it")
        return found[0], found[1]

    def _questions(self, draft: Draft) -> Iterator[str]:
        """Yield every question that can be asked about the picture."""
        if draft.kind != "user":
            type_ = self._words.type(draft.subject.type)
            yield type_.identity
            for change in draft.changes:
                yield from (each.format(x=type_.shown) for each in self._words.relation(change.relation).questions)

    def _rng(self, draft: Draft, what: str) -> Random:
        return rng(self._seed, draft.id, what)
