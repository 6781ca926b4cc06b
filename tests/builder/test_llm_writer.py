"""The writer `llm` on recorded good replies: its texts satisfy the checks, each reply is kept and asked for once."""

import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
from llm_projects import change, plans, set_up, written
from stub_endpoint import NoNetwork, Recorded, Sent, completion, record_of, recorded, serving

from mmke import registry
from mmke.build.content import Kind
from mmke.build.new import new
from mmke.build.project import open_project
from mmke.build.records import records
from mmke.build.writers.llm.settings import LlmSettings
from mmke.build.writers.llm.writer import LlmWriter
from mmke.errors import UserError


@pytest.mark.parametrize("kind", get_args(Kind))
def test_what_the_texts_say_is_what_was_drawn(tmp_path: Path, kind: Kind) -> None:
    with open_project(set_up(tmp_path, kind)) as project:
        transport = Recorded()
        made = written(project, LlmWriter(project, transport))
    assert len(transport.asked) == 4
    for edit, questions in made:
        for changed in edit.draft.changes:
            assert changed.after in edit.texts.target
            assert changed.before is None or changed.before not in edit.texts.target
        assert all(question.plan.answer not in question.text for question in questions)
        texts = {question.plan.key: question.text for question in questions}
        assert all(edit.draft.subject.name in text for key, text in texts.items() if key.startswith("t_rel"))
    first = made[0][0].texts
    assert (first.original == first.target) == (kind == "user")


def test_a_second_run_asks_nothing_and_needs_no_key_and_a_reviewer_sees_each_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with open_project(set_up(tmp_path)) as project:
        first = written(project, LlmWriter(project, Recorded()))
        kept = {file: file.read_bytes() for file in (tmp_path / "replies/llm").iterdir()}
        change(tmp_path, base_url="https://example.org/v1", timeout=5.0)
    with open_project(tmp_path) as project:
        assert written(project, LlmWriter(project, NoNetwork())) == first
    assert {file: file.read_bytes() for file in (tmp_path / "replies/llm").iterdir()} == kept
    one = next(plain for plain in map(json.loads, kept.values()) if plain["step"] == "describe")
    system, told = one["request"]["messages"]
    assert "benchmark of knowledge editing" in system["content"]
    assert f"Record: {one['record']}\n" in told["content"]
    assert one["reply"]["model"] == "stub-1"


def test_the_same_replies_are_the_same_bytes_whichever_thread_was_first(tmp_path: Path) -> None:
    kept = []
    for name, after in (("first", (0.1, 0.0)), ("last", (0.0, 0.1))):

        def answer(number: int, body: Mapping[str, Any], after: Sequence[float] = after) -> Sent:
            return Sent(completion(recorded(body)), after=after[record_of(body).endswith("boria")])

        folder = set_up(tmp_path / name)
        with serving(answer) as server:
            change(folder, base_url=server.url)
            with open_project(folder) as project, ThreadPoolExecutor(2) as pool:
                drafts = [record.edit.draft for record in records(project)]
                texts = list(pool.map(LlmWriter(project).describe, drafts))
        files = sorted((folder / "replies/llm").iterdir())
        kept.append((texts, {file.name: file.read_bytes() for file in files}))
    assert kept[0] == kept[1]
    assert len(kept[0][1]) == 2


def test_another_model_prompt_or_way_of_asking_is_asked_anew(tmp_path: Path) -> None:
    versions = []
    set_up(tmp_path)
    for changed in ({}, {"model": "good-2"}, {"temperature": 0.5}, {"extra": {"reasoning_effort": "low"}}):
        change(tmp_path, **changed)
        with open_project(tmp_path) as project:
            transport = Recorded()
            writer = LlmWriter(project, transport)
            writer.describe(records(project)[0].edit.draft)
            versions.append(tuple(writer.by.items()))
        assert len(transport.asked) == 1
    assert transport.asked[0]["reasoning_effort"] == "low"
    (tmp_path / "prompts").mkdir()
    own = 'version: my own\n\nWrite.\n\n```json\n{"prompt": "What?"}\n```\n'
    (tmp_path / "prompts/entity-describe.md").write_text(own)
    with open_project(tmp_path) as project:
        transport = Recorded()
        writer = LlmWriter(project, transport)
        writer.describe(records(project)[0].edit.draft)
        versions.append(tuple(writer.by.items()))
    assert transport.asked[0]["messages"][0]["content"].startswith("Write.")
    assert len(set(versions)) == 5
    assert writer.by["describe prompt"].startswith("my own-")


def test_tokens_and_cost_are_counted_over_the_whole_project_and_foretold_before(tmp_path: Path) -> None:
    set_up(tmp_path, price_in=2.0, price_out=10.0)
    with open_project(tmp_path) as project:
        drafts = [record.edit.draft for record in records(project)]
        before = LlmWriter(project, NoNetwork()).estimate(drafts)
        assert "4 calls for 2 records" in before
        written(project, LlmWriter(project, Recorded()))
        writer = LlmWriter(project, NoNetwork())
        assert "0 calls for 2 records" in writer.estimate(drafts)
        # 4 calls of 100 + 20 tokens: 400 at 2 and 80 at 10 a million.
        told = "400 tokens sent and 80 received, which cost 0.00 at the prices in build.toml"
        assert writer.summary() == f"good-1: 0 replies now, 4 in the whole project, {told}"


def test_the_writer_is_made_by_its_name(tmp_path: Path) -> None:
    with open_project(set_up(tmp_path)) as project:
        assert isinstance(registry.factory("writers", "llm")(project), LlmWriter)


def test_without_its_client_the_writer_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("mmke.build.writers.llm.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openai", None)
    why = "^the writer llm needs the Python package 'openai'; run: pip install 'mmke\\[build\\]'$"
    with open_project(set_up(tmp_path)) as project, pytest.raises(UserError, match=why):
        registry.factory("writers", "llm")(project)


def test_the_docs_state_every_setting_with_the_value_that_a_new_project_has(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/building-with-a-language-model.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.*?) \|", text, re.MULTILINE)
    stated = {name: value.strip('`" ') for names, value in rows for name in re.findall(r"\w+", names)}
    new(tmp_path, kind="entity")
    plain = tomllib.loads((tmp_path / "build.toml").read_text(encoding="utf-8"))["writers"]["llm"]
    assert stated == {name: str(value) for name, value in plain.items()}
    assert set(stated) == set(LlmSettings.model_fields)


def test_no_plans_are_no_request(tmp_path: Path) -> None:
    with open_project(set_up(tmp_path)) as project:
        assert LlmWriter(project, NoNetwork()).ask(records(project)[0].edit, []) == ()


def test_a_kept_reply_that_was_edited_is_named(tmp_path: Path) -> None:
    with open_project(set_up(tmp_path)) as project:
        writer, record = LlmWriter(project, Recorded()), records(project)[0]
        writer.describe(record.edit.draft)
        file = next((tmp_path / "replies/llm").iterdir())
        file.write_text('{"record": 3}')
        with pytest.raises(UserError, match=rf"{file.name} cannot be read \(record: .*was it edited\?"):
            writer.describe(record.edit.draft)
        file.unlink()
        assert len(plans(record)) == 5
