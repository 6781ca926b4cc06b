"""The stages with the writer `llm`, against a server whose model is the grammar: what is made, kept, lost and told."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from llm_projects import change
from stub_endpoint import Sent, Server, completion, record_of, serving
from vases import asked, make_vases, reading, some_vases, written

from mmke.build.content import Draft, Kind
from mmke.build.records import records
from mmke.build.rules.check import check
from mmke.build.write.drafts import plan_drafts
from mmke.build.write.stage import dry
from mmke.build.writers.templates.writer import make as make_templates
from mmke.errors import UserError

COUNT = 4
Bad = Callable[[int, Mapping[str, Any]], Sent | None]


def good(number: int, body: Mapping[str, Any]) -> None:
    """Leave every request to the model."""


def project_of(folder: Path, kind: Kind) -> Path:
    settings = {"count": str(COUNT), "writer": '"llm"', "model": '"grammar-1"', "retries": "0", "at_once": "3"}
    return make_vases(folder, kind, some_vases(6), **settings)


@contextmanager
def grammar_model(folder: Path, bad: Bad = good) -> Iterator[Server]:
    """Serve a project with a model that writes by the grammar, unless `bad` answers."""
    with reading(folder) as project:
        drafts = {draft.id: draft for draft in plan_drafts(project).drafts}
        templates = make_templates(project)

    def answer(number: int, body: Mapping[str, Any]) -> Sent:
        message = body["messages"][1]["content"]
        texts = questions(message) if "\nQuestions:\n" in message else described(drafts[record_of(body)])
        return bad(number, body) or Sent(completion(json.dumps(texts)))

    def described(draft: Draft) -> dict[str, str]:
        texts = templates.describe(draft).model_dump()
        return {key: text for key, text in texts.items() if draft.kind != "user" or key != "original"}

    with serving(answer) as server:
        change(folder, base_url=server.url)
        yield server


def questions(message: str) -> dict[str, Any]:
    """Return the questions that a message asks for, in its own plain words."""
    found = re.findall(r"- key: (\w+)\n.*\n  asks in plain words: (.*)", message)
    made = [{"key": key, "question": f"Now, {text}" if key == "i_gen" else text} for key, text in found]
    return {"questions": made}


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "edits.jsonl", folder / "questions.jsonl")}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_project_by_a_language_model_passes_the_rules_and_is_the_same_without_the_endpoint(
    tmp_path: Path, kind: Kind
) -> None:
    project_of(tmp_path, kind)
    with grammar_model(tmp_path) as server:
        first = [written(tmp_path), asked(tmp_path)]
    assert [(outcome.made, outcome.refused) for outcome in first] == [(COUNT, {})] * 2
    assert len(server.asked) == 2 * COUNT
    assert first[1].notes == ("grammar-1: 4 replies now, 8 in the whole project, 800 tokens sent and 160 received",)
    with reading(tmp_path) as project:
        assert check(project, records(project)) == []
    before = content(tmp_path)
    for file in before:
        (tmp_path / file).unlink()
    again = [written(tmp_path), asked(tmp_path)]  # nothing listens at the address any more
    assert [outcome.made for outcome in again] == [COUNT, COUNT]
    assert content(tmp_path) == before


def test_one_text_that_is_refused_does_not_end_the_stage(tmp_path: Path) -> None:
    with reading(project_of(tmp_path, "entity")) as project:
        one = plan_drafts(project).drafts[1].id

    def nonsense(number: int, body: Mapping[str, Any]) -> Sent | None:
        return Sent(completion("I like vases.")) if record_of(body) == one else None

    with grammar_model(tmp_path, nonsense) as server:
        outcome = written(tmp_path)
    assert outcome.made == COUNT - 1
    why = r"after 3 attempts: the reply holds no JSON object: 'I like vases\.'; see replies/llm/\w+\.json"
    assert [id_ for id_, told in outcome.refused.items() if re.fullmatch(why, told)] == [one]
    assert len(server.asked) == COUNT + 2


def test_a_quota_that_ends_in_a_stage_keeps_what_was_written_and_paid(tmp_path: Path) -> None:
    project_of(tmp_path, "entity")
    empty = Sent({"error": {"message": "no credit", "code": "insufficient_quota"}}, 429)
    with (
        grammar_model(tmp_path, lambda number, body: empty if number >= 2 else None) as first,
        pytest.raises(UserError, match=r"the quota is used up \(no credit\); what was finished is kept"),
    ):
        written(tmp_path)
    with reading(tmp_path) as project:
        there = [entry.id for entry in project.edits]
    assert len(kept(tmp_path)) == 2
    with grammar_model(tmp_path) as second:
        outcome = written(tmp_path)
    assert outcome.made + outcome.kept == COUNT
    assert outcome.kept == len(there)
    assert len(second.asked) == COUNT - 2
    paid = {record_of(body) for body in first.asked[:2]}
    assert not paid & {record_of(body) for body in second.asked}


@pytest.mark.slow
def test_a_kill_loses_no_reply_that_came(tmp_path: Path) -> None:
    project_of(tmp_path, "entity")
    late = Sent(completion("late"), after=60)
    command = [sys.executable, "-m", "mmke.cli", "build", "write", str(tmp_path)]
    with grammar_model(tmp_path, lambda number, body: late if number >= 2 else None) as first:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: len(first.asked) > 2 and len(kept(tmp_path)) == 2)
        finally:
            process.kill()
            process.wait()
    with grammar_model(tmp_path) as second:
        outcome = written(tmp_path)
    assert outcome.made + outcome.kept == COUNT
    assert len(second.asked) == COUNT - 2
    assert {record_of(body) for body in second.asked}.isdisjoint(record_of(body) for body in first.asked[:2])


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "replies/llm").glob("*.json"))


def wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_dry_run_says_how_many_calls_and_tokens_are_coming_and_sends_nothing(tmp_path: Path) -> None:
    project_of(tmp_path, "entity")
    change(tmp_path, price_in=1.0, price_out=4.0)
    with grammar_model(tmp_path) as server, reading(tmp_path) as project:
        told = dry(project).split("\n")
    assert server.asked == []
    assert told[0] == "llm would write 4 edits with questions; there already: 0"
    found = re.match(
        r"grammar-1 at http://127\.0\.0\.1:\d+/v1: 8 calls for 4 records, two for each that has no reply yet; "
        r"about ([\d,]+) tokens sent and ([\d,]+) received, which cost 0\.\d\d at the prices in build\.toml, by 4 char",
        told[1],
    )
    assert found is not None
    sent, received = (int(number.replace(",", "")) for number in found.groups())
    assert 6_000 < sent < 12_000
    assert 800 < received < 2_000
    with grammar_model(tmp_path):
        written(tmp_path)
        with reading(tmp_path) as project:
            assert ": 4 calls for 4 records" in dry(project)
        asked(tmp_path)
        with reading(tmp_path) as project:
            assert ": 0 calls for 0 records" in dry(project)
