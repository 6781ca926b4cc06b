"""The writer `llm`: texts by a language model, each checked, each reply kept."""

import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from mmke.build.content import Draft, Edit, EditTexts, Plan
from mmke.build.project import Project
from mmke.build.writers.llm import cost
from mmke.build.writers.llm.answers import AllAsked, Described, Told, read_answer, shortened
from mmke.build.writers.llm.checks import Checks
from mmke.build.writers.llm.facts import to_ask, to_describe
from mmke.build.writers.llm.plain import Plain
from mmke.build.writers.llm.prompts import STEPS, Step, read_prompt
from mmke.build.writers.llm.replies import Kept, Message, Replies, Reply, Request
from mmke.build.writers.llm.settings import NAME, read_llm_settings
from mmke.counting import counted
from mmke.errors import CannotWriteError, UserError

if TYPE_CHECKING:
    import httpx2

Answer = TypeVar("Answer", bound=BaseModel)

AGAIN = "Your reply cannot be used:\n{problems}\nSend the whole JSON object again, corrected, and nothing else."


def make(project: Project) -> "LlmWriter":
    """Write with a language model behind any OpenAI-compatible endpoint.

    Nothing is sent yet, and no key is needed for replies that are kept already.

    Raises:
        UserError: wrong settings, a prompt of the project's that cannot be read, or the client is not installed.
    """
    return LlmWriter(project)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is asked for: of which record and step, with which facts."""

    record: str
    step: Step
    facts: str


class LlmWriter:
    """A language model behind an endpoint; several threads may use it at once."""

    name = NAME

    def __init__(self, project: Project, transport: "httpx2.BaseTransport | None" = None) -> None:
        """Read settings and prompts; `transport` stands in for the network in tests."""
        try:
            from mmke.build.writers.llm.endpoint import Endpoint
        except ModuleNotFoundError as error:
            raise UserError(
                f"the writer llm needs the Python package {error.name!r}; run: pip install 'mmke[build]'"
            ) from error
        self._settings = read_llm_settings(project)
        self._plain = Plain(project.words, project.user_words.ties)
        self._bounds = project.settings.write.words
        self._prompts = {step: read_prompt(project.folder, project.settings.kind, step) for step in STEPS}
        self._replies, self._checks = Replies(project.folder), Checks(project)
        self._endpoint = Endpoint(self._settings, os.environ, transport)
        self._lock, self._sent = threading.Lock(), 0
        self.at_once = self._settings.at_once
        versions = {f"{step} prompt": prompt.version for step, prompt in self._prompts.items()}
        self.by = {
            "writer": NAME,
            "model": self._settings.model,
            "temperature": f"{self._settings.temperature:g}",
            **({"extra": json.dumps(self._settings.extra, sort_keys=True)} if self._settings.extra else {}),
            **versions,
        }

    def describe(self, draft: Draft) -> EditTexts:
        """Put an edit into words.

        Raises:
            CannotWriteError: this one cannot be written; others go on.
            UserError: the endpoint can write none; what was written is kept.
        """
        task = _Task(draft.id, "describe", to_describe(draft, self._plain, self._bounds))

        def checked(texts: EditTexts) -> list[str]:
            return self._checks.of_texts(texts, draft)

        if draft.kind == "user":
            return _texts(self._write(task, Told, lambda told: checked(_texts(told))))
        return _texts(self._write(task, Described, lambda described: checked(_texts(described))))

    def ask(self, edit: Edit, plans: Sequence[Plan]) -> Sequence[str]:
        """Put questions into words, one for each plan and in their order.

        Raises:
            CannotWriteError: these cannot be written; others go on.
            UserError: the endpoint can write none; what was written is kept.
        """
        if not plans:
            return ()
        task = _Task(edit.draft.id, "ask", to_ask(edit, plans, self._plain))
        asked = self._write(task, AllAsked, lambda asked: self._checks.of_questions(asked, edit, plans))
        texts = {one.key: one.question for one in asked.questions}
        return [texts[plan.key] for plan in plans]

    def summary(self) -> str:
        """Return how much was asked now, and how much the whole project has used."""
        used, uncounted = cost.used(self._replies.all())
        without = f"; without a count of tokens: {counted(uncounted, 'reply', 'replies')}" if uncounted else ""
        return (
            f"{self._settings.model}: {counted(self._sent, 'reply', 'replies')} now, "
            f"{used.calls} in the whole project, {used.told(self._settings)}{without}"
        )

    def estimate(self, drafts: Sequence[Draft]) -> str:
        """Return how many calls and tokens are coming for some drafts, before any is sent."""
        version, model = self._prompts["ask"].version, self._settings.model
        asked = {
            each.record
            for each in self._replies.all()
            if (each.step, each.prompt, each.request.model) == ("ask", version, model)
        }
        # What is told for the questions is not there before the texts are; it is about as long.
        told = {draft.id: to_describe(draft, self._plain, self._bounds) for draft in drafts}
        calls: list[tuple[Step, str]] = [("describe", text) for text in told.values() if self._is_new("describe", text)]
        calls += [("ask", text) for id_, text in told.items() if id_ not in asked]
        coming = cost.Used(
            len(calls),
            sum(cost.estimated(self._prompts[step].text + text) for step, text in calls),
            sum(cost.estimated(self._prompts[step].example) for step, _ in calls),
        )
        missing = self._endpoint.key_problem
        return (
            f"{model} at {self._settings.base_url}: {counted(coming.calls, 'call')} for "
            f"{counted(len(drafts), 'record')}, two for each that has no reply yet; about "
            f"{coming.told(self._settings)}, by {cost.CHARACTERS} characters to a token and replies as long as the "
            "prompts' examples; a reply that must be corrected is another call"
            + (f". Missing: {missing}" if missing else "")
        )

    def _write(self, task: _Task, answer: type[Answer], problems_of: Callable[[Answer], list[str]]) -> Answer:
        """Ask until the answer satisfies the checks, telling the model each time what was wrong."""
        messages = self._first(task.step, task.facts)
        problems, place = ["nothing was asked"], ""
        for attempt in range(1, self._settings.attempts + 1):
            place, reply = self._reply(task, attempt, messages, answer)
            found, problems = _judged(reply, answer, problems_of)
            if found is not None:
                return found
            again = AGAIN.format(problems="\n".join(f"- {problem}" for problem in problems))
            messages += [
                Message(role="assistant", content=reply.text or "(nothing)"),
                Message(role="user", content=again),
            ]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CannotWriteError(f"after {self._settings.attempts} attempts: {problems[0]}{more}; see {place}")

    def _first(self, step: Step, facts: str) -> list[Message]:
        """Return the messages with which a conversation begins."""
        return [Message(role="system", content=self._prompts[step].text), Message(role="user", content=facts)]

    def _request(self, messages: Sequence[Message]) -> Request:
        settings = self._settings
        return Request(
            model=settings.model,
            temperature=settings.temperature,
            tokens=settings.tokens,
            extra=settings.extra,
            messages=tuple(messages),
        )

    def _is_new(self, step: Step, facts: str) -> bool:
        """Tell whether no reply to a first request is kept."""
        return self._replies.get(self._request(self._first(step, facts)), self._prompts[step].version) is None

    def _reply(
        self, task: _Task, attempt: int, messages: Sequence[Message], answer: type[BaseModel]
    ) -> tuple[str, Reply]:
        """Return where a reply is kept, and the reply: the kept one, else a new one, which is kept."""
        request, prompt = self._request(messages), self._prompts[task.step].version
        reply, place = self._replies.get(request, prompt), self._replies.name(request, prompt)
        if reply is None:
            reply = self._endpoint.send(request, answer)
            self._replies.put(
                Kept(record=task.record, step=task.step, attempt=attempt, prompt=prompt, request=request, reply=reply)
            )
            with self._lock:
                self._sent += 1
        if reply.refusal or reply.finish == "content_filter":
            why = repr(shortened(reply.refusal)) if reply.refusal else "by the endpoint's filter"
            raise CannotWriteError(f"the model refused to write this: {why}; see {place}")
        return place, reply


def _judged(
    reply: Reply, answer: type[Answer], problems_of: Callable[[Answer], list[str]]
) -> tuple[Answer | None, list[str]]:
    """Return the answer; or None, and what is wrong with the reply."""
    if reply.cut_off:
        return None, ["the reply was cut off; write less (or raise `tokens` in build.toml)"]
    found, problems = read_answer(reply.text, answer)
    if not isinstance(found, answer):
        return None, problems
    problems = problems_of(found)
    return (None, problems) if problems else (found, [])


def _texts(answer: Described | Told) -> EditTexts:
    original = answer.original if isinstance(answer, Described) else answer.target
    return EditTexts(prompt=answer.prompt, rephrase=answer.rephrase, original=original, target=answer.target)
