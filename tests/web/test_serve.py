"""`mmke serve`: what OpenAI's own client sends and reads, an edit at work, and what is refused in which words."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.testclient import TestClient

import mmke
from mmke.edits.answering import Answering
from mmke.edits.loading import stack
from mmke.edits.opening import Where
from mmke.testing.records import draw_picture
from mmke.web import HOST
from mmke.web.safeguards import known_hosts
from mmke.web.serve.asks import MOST_TOKENS, read
from mmke.web.serve.opening import name_of
from mmke.web.serve.replies import RefusedError, released
from mmke.web.serve.routes import serve_app
from mmke.web.serve.service import Service

KEY = "a-key-of-a-test"
QUESTION = "Which flag is this?"
BASE = f"http://{HOST}:8000"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a picture and an edit about it."""
    place = tmp_path_factory.mktemp("serve")
    draw_picture(place / "red.png", "red")
    editor = mmke.load_editor("ft-llm", backbone="tiny-llava", steps=20, learning_rate=0.05)
    with editor.open(mmke.load_backbone("tiny-llava"), mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query(QUESTION, mmke.picture(place / "red.png")), "Peru")])
        session.save(place / "my-edit")
    return place


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[TestClient]:
    """Return a client of an endpoint with the edit in force."""
    edits = (folder / "my-edit",)
    answering = Answering(Where(), stack(edits))
    answering.check()
    service = Service(answering, edited=name_of(edits), folder=folder)
    service.load()
    app = serve_app(service, key=KEY, hosts=known_hosts(HOST))
    yield TestClient(app, base_url=BASE, headers={"authorization": f"Bearer {KEY}"})
    service.close()


@pytest.fixture
def client(http: TestClient) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{BASE}/v1", api_key=KEY, http_client=http, max_retries=0)


def pictured(folder: Path, question: str = QUESTION) -> list[dict[str, Any]]:
    encoded = base64.b64encode((folder / "red.png").read_bytes()).decode()
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}
    return [{"role": "user", "content": [url, {"type": "text", "text": question}]}]


def test_the_edited_and_the_unedited_model_answer_as_from_python(client: openai.OpenAI, folder: Path) -> None:
    assert [model.id for model in client.models.list()] == ["my-edit", "tiny-llava"]
    assert client.models.retrieve("my-edit").owned_by == "mmke"
    backbone = mmke.load_backbone("tiny-llava")
    picture = mmke.picture(folder / "red.png")
    with mmke.load_edit(folder / "my-edit", backbone) as session:
        wanted = [mmke.say(each, QUESTION, picture, max_new_tokens=8) for each in (session, backbone)]
    said = [
        client.chat.completions.create(model=model, messages=pictured(folder), max_tokens=8, temperature=0)  # type: ignore[arg-type]
        for model in ("my-edit", "tiny-llava")
    ]
    assert [each.choices[0].message.content for each in said] == wanted
    assert wanted[0] != wanted[1]
    assert said[0].choices[0].finish_reason in ("stop", "length")
    assert said[0].usage is not None
    assert said[0].usage.completion_tokens <= 8
    assert [each.model_extra["mmke"]["edited"] for each in said if each.model_extra] == [True, False]
    assert [file.name for file in folder.glob("*.png")] == ["red.png"]


def test_a_streamed_answer_is_the_whole_one_in_pieces(client: openai.OpenAI, folder: Path) -> None:
    asked: dict[str, Any] = {"model": "tiny-llava", "messages": pictured(folder), "max_tokens": 12}
    whole = client.chat.completions.create(**asked)
    pieces = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    texts = [piece.choices[0].delta.content or "" for piece in pieces if piece.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert len([text for text in texts if text]) > 1
    assert pieces[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert pieces[-1].usage == whole.usage


@pytest.mark.parametrize(
    ("more", "status", "param", "told"),
    [
        ({"temperature": 0.7}, 400, "temperature", "answers are greedy"),
        ({"n": 2}, 400, "n", "n is not supported"),
        ({"tools": [{"type": "function"}]}, 400, "tools", "tools is not supported"),
        ({"logprobs": True}, 400, "logprobs", "logprobs is not supported"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format", "not supported"),
        ({"minimum_joy": 3}, 400, "minimum_joy", "is not known here"),
        ({"max_tokens": 0}, 400, "max_tokens", f"from 1 to {MOST_TOKENS}"),
        ({"max_tokens": "many"}, 400, "max_tokens", "integer"),
        ({"stop": [""]}, 400, "stop", "one to 4 texts"),
        ({"model": "gpt-9"}, 404, "model", "there are my-edit, tiny-llava"),
        ({"messages": []}, 400, "messages", "One question is answered at a time"),
        ({"messages": [{"role": "system", "content": "Be kind."}]}, 400, "messages", "no place for a system message"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}, 400, "messages", "no question"),
    ],
)
def test_what_is_not_supported_is_refused_in_the_shape_of_the_interface(
    http: TestClient, more: dict[str, Any], status: int, param: str, told: str
) -> None:
    plain = {"model": "my-edit", "messages": [{"role": "user", "content": QUESTION}]} | more
    reply = http.post("/v1/chat/completions", json=plain)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert told in error["message"]
    assert error["param"] == param


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://example.com/a.png", "no address is ever fetched"),
        ("file:///etc/passwd", "no address is ever fetched"),
        ("data:image/png;base64,%%", "no base64"),
        ("data:image/png;base64,AAAA", "no picture that can be read"),
    ],
)
def test_pictures_are_taken_from_the_request_alone(http: TestClient, url: str, told: str) -> None:
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": QUESTION}]
    plain = {"model": "my-edit", "messages": [{"role": "user", "content": content}]}
    reply = http.post("/v1/chat/completions", json=plain)
    assert reply.status_code == 400
    assert told in reply.json()["error"]["message"]


def test_two_pictures_are_refused(http: TestClient, folder: Path) -> None:
    messages = pictured(folder)
    messages[0]["content"] *= 2
    with pytest.raises(RefusedError, match="One picture"):
        read(json.dumps({"model": "my-edit", "messages": messages}).encode())


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"authorization": "Bearer another"}, 401, "authentication_error"),
        ({"origin": "https://example.com"}, 403, "invalid_request_error"),
        ({"content-type": "text/plain"}, 415, "invalid_request_error"),
        ({"content-length": str(1 << 30)}, 413, "invalid_request_error"),
    ],
)
def test_the_safeguards_refuse_in_the_same_shape(
    http: TestClient, headers: dict[str, str], status: int, kind: str
) -> None:
    reply = http.post("/v1/chat/completions", content="{}", headers={"content-type": "application/json"} | headers)
    assert reply.status_code == status
    assert reply.json()["error"]["type"] == kind


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "mmke.cli", "serve", "--backbone", "tiny-llava", "--port", "0"]
    with subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        served, told = running.stdout.readline(), running.stdout.readline()
        assert served.startswith("tiny-llava at http://127.0.0.1:")
        values = dict(word.split("=", 1) for word in told.split()[1:])
        try:
            with openai.OpenAI(base_url=values["OPENAI_BASE_URL"], api_key=values["OPENAI_API_KEY"]) as client:
                message: Any = {"role": "user", "content": QUESTION}
                said = client.chat.completions.create(model="tiny-llava", messages=[message], max_tokens=3)
            assert said.choices[0].message.content
        finally:
            running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0


def test_a_foreign_host_and_an_unknown_path_are_refused(http: TestClient) -> None:
    assert http.get("/v1/models", headers={"host": "evil.example"}).status_code == 400
    reply = http.post("/v1/embeddings", json={})
    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == "POST /v1/embeddings: Not Found"


@pytest.mark.parametrize(
    ("text", "final", "sent"),
    [
        ("a lion", False, "a lion"),
        ("a lion\n", False, "a lion"),
        ("a lion\n", True, "a lion\n"),
        ("a lion\n\nQ: next", False, "a lion"),
        ("a lio\N{REPLACEMENT CHARACTER}", False, "a lio"),
    ],
)
def test_what_may_become_a_stop_is_held_back(text: str, sent: str, *, final: bool) -> None:
    assert released(text, ("\n\n",), final=final) == sent


def test_nothing_that_changes_no_answer_is_refused() -> None:
    plain = {
        "model": "m",
        "messages": [{"role": "system", "content": ""}, {"role": "user", "content": "?"}],
        "temperature": 0.0,
        "top_p": 0.9,
        "seed": 3,
        "n": 1,
        "user": "me",
        "stop": None,
        "tools": [],
        "max_completion_tokens": 5,
    }
    asked = read(json.dumps(plain).encode())
    assert (asked.question, asked.picture, asked.most, asked.stops) == ("?", None, 5, ())
