"""The writer `llm` where something fails: one clear line, nothing is lost, and the key is written nowhere."""

import json
import logging
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from llm_projects import change, set_up, written
from stub_endpoint import NoNetwork, Sent, completion, record_of, recorded, serving

from mmke.build.content import EditTexts
from mmke.build.project import open_project
from mmke.build.records import records
from mmke.build.writers.llm.writer import LlmWriter
from mmke.errors import CannotWriteError, UserError

Answer = Callable[[int, Mapping[str, Any]], Sent]
SECRET = "sk-very-secret-0123456789"  # noqa: S105


def good(number: int, body: Mapping[str, Any]) -> Sent:
    return Sent(completion(recorded(body)))


def after(bad: Sequence[Sent]) -> Answer:
    """Return what answers as it is told first, and with good replies then."""
    return lambda number, body: bad[number] if number < len(bad) else good(number, body)


def error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "test", "code": code, "param": None}}


def describe_all(folder: Path, answer: Answer, **changed: Any) -> tuple[list[EditTexts | UserError], int]:
    """Describe both records; return the texts or errors with the address left out, and how many requests came."""
    models = changed.pop("models", None)
    if not (folder / "build.toml").exists():
        set_up(folder)
    with serving(answer) as server:
        server.models = models
        change(folder, base_url=server.url, **changed)
        found: list[EditTexts | UserError] = []
        with open_project(folder) as project:
            writer = LlmWriter(project)
            for record in records(project):
                try:
                    found.append(writer.describe(record.edit.draft))
                except UserError as caught:
                    found.append(type(caught)(str(caught).replace(f"{server.url}: ", "")))
        return found, len(server.asked)


def told(found: Sequence[object]) -> list[str]:
    assert all("\n" not in str(each) for each in found if isinstance(each, UserError))
    return [str(each) if isinstance(each, UserError) else "text" for each in found]


def ended(found: EditTexts | UserError) -> bool:
    return isinstance(found, UserError) and not isinstance(found, CannotWriteError)


def test_an_endpoint_that_is_down(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with open_project(set_up(tmp_path, base_url=url)) as project:
        writer, drafts = LlmWriter(project), [record.edit.draft for record in records(project)]
        why = "no connection ([Errno 111] Connection refused); is the server running, and is base_url right? Sent once"
        for draft in drafts:
            with pytest.raises(UserError, match=f"^{re.escape(f'{url}: {why}')}$") as caught:
                writer.describe(draft)
            assert type(caught.value) is UserError


def test_an_endpoint_that_is_slow(tmp_path: Path) -> None:
    slow = Sent(completion("late"), after=60)
    found, asked = describe_all(tmp_path, after([slow]), timeout=0.2)
    assert told(found) == ["no reply within 0.2 seconds (timeout in build.toml)", "text"]
    assert isinstance(found[0], CannotWriteError)
    assert asked == 2


def test_three_failed_requests_in_a_row_end_the_work(tmp_path: Path) -> None:
    set_up(tmp_path)
    broken = Sent(error("engine is overloaded"), 503)
    with serving(lambda number, body: broken) as server:
        change(tmp_path, base_url=server.url)
        with open_project(tmp_path) as project:
            writer, draft = LlmWriter(project), records(project)[0].edit.draft
            found = []
            for _ in range(5):
                with pytest.raises(UserError) as caught:
                    writer.describe(draft)
                found.append(caught.value)
    why = f"{server.url}: an error of the server (503: engine is overloaded). Sent once"
    end = f"{why}; 3 requests in a row failed, what was finished is kept, and the same command goes on from there"
    assert [str(each) for each in found] == [why, why, end, end, end]
    assert [isinstance(each, CannotWriteError) for each in found] == [True, True, False, False, False]
    assert len(server.asked) == 3


def test_an_endpoint_that_is_busy_is_asked_again_when_it_says(tmp_path: Path) -> None:
    busy = Sent(error("slow down"), 429, {"retry-after-ms": "10"})
    found, asked = describe_all(tmp_path, after([busy, busy]), retries=2)
    assert told(found) == ["text", "text"]
    assert asked == 4
    found, _ = describe_all(tmp_path / "other", lambda number, body: busy, retries=1)
    assert told(found)[0] == "too many requests (429: slow down); lower at_once, or wait. Sent up to 2 times"
    hours = Sent(error("come back later"), 429, {"retry-after": "7200"})
    found, _ = describe_all(tmp_path / "hours", lambda number, body: hours, retries=3)
    why = "too many requests (429: come back later); it asks to wait 7200 seconds; lower at_once, or wait."
    assert told(found)[0] == f"{why} Sent up to 4 times"


def test_an_endpoint_that_answers_nonsense(tmp_path: Path) -> None:
    page = Sent(b"<html><body>It works!</body></html>")
    found, _ = describe_all(tmp_path, after([page]))
    shown = "(text/html: '<html><body>It works!</body></html>')"
    why = f"the reply is no completion {shown}; is base_url right (most end in /v1)?"
    assert told(found) == [why, "text"]
    found, _ = describe_all(tmp_path / "other", after([Sent({"choices": []})]))
    assert told(found)[0].startswith("the reply is no completion (application/json: '{\"choices\": []}')")


def test_a_quota_that_runs_out_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    empty = Sent(error("You exceeded your current quota", "insufficient_quota"), 429, {"retry-after": "60"})

    def answer(number: int, body: Mapping[str, Any]) -> Sent:
        return good(number, body) if number < 3 else empty

    set_up(tmp_path, retries=3)
    with serving(answer) as server:
        change(tmp_path, base_url=server.url)
        with open_project(tmp_path) as project, pytest.raises(UserError) as caught:
            written(project, LlmWriter(project))
        assert len(server.asked) == 4  # sent once: waiting does not bring credit
    said = "the quota is used up (You exceeded your current quota)"
    assert str(caught.value) == (
        f"{server.url}: {said}; what was finished is kept, and the same command goes on from there"
    )
    assert not isinstance(caught.value, CannotWriteError)
    with serving(good) as server:
        change(tmp_path, base_url=server.url)
        with open_project(tmp_path) as project:
            assert len(written(project, LlmWriter(project))) == 2
        assert [record_of(body) for body in server.asked] == ["entity/flag/boria"]


def test_a_model_that_refuses(tmp_path: Path) -> None:
    refusal = Sent(completion(None, refusal="I cannot help with flags."))
    found, asked = describe_all(tmp_path, after([refusal]))
    assert re.fullmatch(
        r"the model refused to write this: 'I cannot help with flags\.'; see replies/llm/\w+\.json", told(found)[0]
    )
    assert (told(found)[1], asked) == ("text", 2)
    filtered = Sent(completion("", finish_reason="content_filter"))
    found, _ = describe_all(tmp_path / "other", after([filtered]))
    assert told(found)[0].startswith("the model refused to write this: by the endpoint's filter; see replies/llm/")
    assert isinstance(found[0], CannotWriteError)


def test_a_reply_that_breaks_the_schema_three_times(tmp_path: Path) -> None:
    bad = ["Sure! Here are your texts.", '{"prompt": "What?"}', '{"prompt": 1, "rephrase": "", "other": 2}']
    found, asked = describe_all(tmp_path, after([Sent(completion(text)) for text in bad]))
    first = r"after 3 attempts: prompt: input should be a valid string \(and 4 more\); see replies/llm/\w+\.json"
    assert re.fullmatch(first, told(found)[0])
    assert isinstance(found[0], CannotWriteError)
    assert (told(found)[1], asked) == ("text", 4)
    assert len(list((tmp_path / "replies/llm").iterdir())) == 4
    again, asked = describe_all(tmp_path, good)
    assert (told(again), asked) == (told(found), 0)
    more, asked = describe_all(tmp_path, good, attempts=4)
    assert (told(more), asked) == (["text", "text"], 1)


def test_the_model_is_told_what_was_wrong(tmp_path: Path) -> None:
    set_up(tmp_path)
    bodies: list[Mapping[str, Any]] = []

    def answer(number: int, body: Mapping[str, Any]) -> Sent:
        bodies.append(body)
        texts = json.loads(recorded(body))
        wrong = {**texts, "target": "This is the flag of Boria, which was founded in 1901."}
        return Sent(completion(json.dumps([wrong, texts][number % 2])))

    with serving(answer) as server:
        change(tmp_path, base_url=server.url)
        with open_project(tmp_path) as project:
            LlmWriter(project).describe(records(project)[0].edit.draft)
    assert [message["role"] for message in bodies[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert bodies[1]["messages"][-1]["content"].split("\n") == [
        "Your reply cannot be used:",
        "- target: it does not say 'Cordo', the new capital",
        "- target: it does not say '1833', the new founded",
        "- target: it still says '1901', the replaced founded",
        "- target: it does not name 'Aland'",
        "- target: it names 'Boria', which the picture showed before the edit",
        "- target: it has 11 words, not 12 to 90",
        "Send the whole JSON object again, corrected, and nothing else.",
    ]


@pytest.mark.parametrize(
    "around",
    ["```json\n{}\n```", "<think>First {{the}} capital, then {{}}.</think>\n{}", "Here it is: {} I hope it helps."],
)
def test_a_server_that_knows_no_schema_may_send_the_object_in_other_words(tmp_path: Path, around: str) -> None:
    def answer(number: int, body: Mapping[str, Any]) -> Sent:
        before, _, behind = around.replace("{{", "(").replace("}}", ")").partition("{}")
        return Sent(completion(before + recorded(body) + behind))

    found, asked = describe_all(tmp_path, answer)
    assert (told(found), asked) == (["text", "text"], 2)


def test_a_reply_that_is_cut_off_is_asked_for_again_when_more_is_allowed(tmp_path: Path) -> None:
    cut = Sent(completion('{"prompt": "Wh', finish_reason="length"))
    found, asked = describe_all(tmp_path, after([cut]), attempts=1)
    assert told(found)[0].startswith(
        "after 1 attempts: the reply was cut off; write less (or raise `tokens` in build.toml); see replies/llm/"
    )
    again, asked = describe_all(tmp_path, good)
    assert (told(again), asked) == (told(found), 0)
    more, asked = describe_all(tmp_path, good, tokens=2048)
    assert (told(more), asked) == (["text", "text"], 1)


def test_options_that_a_server_refuses_are_left_out(tmp_path: Path) -> None:
    def answer(number: int, body: Mapping[str, Any]) -> Sent:
        for name in ("response_format", "temperature", "max_tokens"):
            if name in body:
                return Sent(error(f"Unsupported parameter: '{name}'"), 400)
        assert body["max_completion_tokens"] == 1024
        return good(number, body)

    found, asked = describe_all(tmp_path, answer)
    assert (told(found), asked) == (["text", "text"], 5)
    found, _ = describe_all(tmp_path / "other", lambda number, body: Sent(error("too long a context"), 400))
    assert told(found)[0] == "the request was refused (400: too long a context)"


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    unknown = Sent(error("The model `good-1` does not exist"), 404)
    found, asked = describe_all(tmp_path, after([unknown]), models=["best-1", "goods-1"])
    why = "no model 'good-1' (404); did you mean 'goods-1'?; the endpoint has best-1, goods-1"
    assert (told(found), asked) == ([why, why], 1)
    assert ended(found[0])
    found, _ = describe_all(tmp_path / "other", after([Sent({"detail": "Not Found"}, 404)]))
    assert told(found)[0] == (
        "no model 'good-1' (404), and no list of models either; is base_url right (most end in /v1)?"
    )


def test_a_key_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with open_project(set_up(tmp_path, base_url="https://api.example.org/v1")) as project:
        writer, drafts = LlmWriter(project, NoNetwork()), [record.edit.draft for record in records(project)]
        why = (
            "the environment variable OPENAI_API_KEY is not set, which holds the key of https://api.example.org/v1; "
            'set it, or write key = "" where the endpoint needs none'
        )
        assert writer.estimate(drafts).endswith(f". Missing: {why}")
        with pytest.raises(UserError, match=f"^{re.escape(why)}$"):
            writer.describe(drafts[0])


@pytest.mark.parametrize("key", [f"“{SECRET}”", f"{SECRET} {SECRET}", f"{SECRET}\n{SECRET}"])
def test_a_key_that_cannot_be_one_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with open_project(set_up(tmp_path)) as project, pytest.raises(UserError) as caught:
        LlmWriter(project, NoNetwork()).describe(records(project)[0].edit.draft)
    why = "the environment variable OPENAI_API_KEY holds a character that is in no key; copy the key again"
    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("status", "key", "why"),
    [
        (401, SECRET, "the key in the environment variable OPENAI_API_KEY is not accepted (401)"),
        (403, "", "a key is wanted (403); set the environment variable that `key` in build.toml names"),
    ],
)
def test_a_key_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, key: str, why: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    wrong = Sent(error(f"Incorrect API key provided: {SECRET[:8]}***"), status)
    found, asked = describe_all(tmp_path, lambda number, body: wrong)
    assert (told(found), asked) == ([why, why], 1)
    assert ended(found[0])


def test_the_key_is_sent_and_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    set_up(tmp_path)

    def answer(number: int, body: Mapping[str, Any]) -> Sent:
        if number == 0:
            return Sent(error(f"cannot work with {SECRET}"), 500)
        return Sent(completion(f"You are {SECRET}." if number == 1 else recorded(body)))

    found, _ = describe_all(tmp_path, answer)
    with serving(good) as server:
        change(tmp_path, base_url=server.url, model="good-2")
        with open_project(tmp_path) as project:
            writer = LlmWriter(project)
            writer.describe(records(project)[0].edit.draft)
            told_of = f"{writer.by} {writer.summary()} {writer.estimate([])} {vars(writer)}"
        assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
    written_down = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"You are \xe2\x80\xa6." in written_down
    assert SECRET.encode() not in written_down
    assert SECRET not in told_of + caplog.text + "".join(map(str, found))
    assert told(found)[0].startswith("an error of the server (500: cannot work with …)")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"key": SECRET}, "key is the name of an environment variable in capitals"),
        ({"base_url": f"https://user:{SECRET}@example.org/v1"}, "base_url is an address without a name, password"),
        ({"base_url": f"https://example.org/v1?key={SECRET}"}, "base_url is an address without a name, password"),
        ({"base_url": "127.0.0.1:8000"}, "base_url = '127.0.0.1:8000': an address such as http://127.0.0.1:8000/v1"),
        ({"model": ""}, "model = '': write the name of the model as the endpoint lists it"),
        ({"extra": {"stream": True}}, "extra = {'stream': True}: stream is not set here"),
        ({"attempts": 0}, "attempts = 0: input should be greater than 0"),
    ],
)
def test_settings_that_are_wrong_are_told_without_a_secret(tmp_path: Path, changed: Any, why: str) -> None:
    with open_project(set_up(tmp_path, **changed)) as project, pytest.raises(UserError) as caught:
        LlmWriter(project)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
