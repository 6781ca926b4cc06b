"""What the playground's calls do, with a tiny model: edits, undo, files, and what a browser can send."""

import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import TOKEN, playing
from PIL import Image
from safetensors.torch import load, save
from starlette.testclient import TestClient

from mmke.errors import UserError
from mmke.web import HOST
from mmke.web.play import PlaySettings, serve
from mmke.web.play.room.saved import STATE
from mmke.web.play.routes import TAB, play_app
from mmke.web.play.service import Service
from mmke.web.play.tabs import IDLE_SECONDS
from mmke.web.play.uploads import LONGEST_SIDE
from mmke.web.safeguards import CARRIED_IN, FILE, known_hosts

Event = dict[str, Any]
# IKE's prompts are long: seconds on one core.
BOTH = [("ft-llm",), pytest.param(("ft-llm", "ike-random"), marks=pytest.mark.slow)]


class Tab:
    """One tab of a browser, without the browser."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.id = client.post("/api/open", json={}).json()["tab"]

    def events(self, path: str, **body: object) -> list[Event]:
        answer = self.client.post(f"/api/{path}", json={"tab": self.id, **body})
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def edit(self, target: str, *editors: str, **more: object) -> list[Event]:
        edit = {"question": "Who lives here?", "target": target, **more}
        return self.events("edit", edit=edit, editors=list(editors or ["ft-llm"]), most=4)

    def ask(self, *editors: str, question: str = "Who lives here?") -> dict[str, str]:
        events = self.events("ask", question=question, editors=list(editors or ["ft-llm"]), most=8)
        return {event["column"]: event["text"] for event in events if event["event"] == "answer"}


def of(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event["event"] == name]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with playing(tmp_path_factory.mktemp("play")) as (_, service):
        yield service


@pytest.fixture(scope="module")
def client(room: Service) -> TestClient:
    app = play_app(room, token=TOKEN, hosts=known_hosts(HOST))
    return TestClient(app, base_url="http://127.0.0.1:8765", headers={CARRIED_IN: TOKEN})


@pytest.fixture
def tab(client: TestClient) -> Tab:
    return Tab(client)


@pytest.fixture(scope="module")
def saved(client: TestClient) -> tuple[Tab, bytes]:
    """Return a tab with one edit, and the file of it."""
    tab = Tab(client)
    tab.edit("somebody")
    return tab, client.post("/api/save", json={"tab": tab.id, "editor": "ft-llm"}).content


def png(width: int = 8, height: int = 8, form: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height), (200, 20, 20)).save(content, form)
    return content.getvalue()


def upload(client: TestClient, content: bytes) -> Any:
    return client.post("/api/upload", content=content, headers={"content-type": FILE})


def test_an_edit_tells_its_steps_its_tokens_and_what_else_changed(tab: Tab) -> None:
    picture = tab.client.get("/api/about").json()["gallery"][0]["types"][0]["records"][0]["picture"]
    events = tab.edit("nobody", "ft-llm", "ft-alignment", picture=picture)
    last = of(events, "step")[-1]
    assert last["done"] == last["total"]
    assert last["loss"] > 0
    assert {event["column"] for event in of(events, "text")} >= {"before", "ft-llm"}
    assert [event["column"] for event in of(events, "answer")] == ["before", "ft-llm", "ft-alignment"]
    (asked,) = of(events, "panel")
    for event in of(events, "panel-after"):
        moved = [after["text"] != row["before"] for row, after in zip(asked["rows"], event["answers"], strict=True)]
        assert [after["moved"] for after in event["answers"]] == moved
    assert events[-1] == {"event": "done"}


@pytest.mark.parametrize("editors", BOTH)
def test_undo_goes_back_bit_for_bit_and_says_so(room: Service, tab: Tab, editors: tuple[str, ...]) -> None:
    tab.edit("nobody", *editors)
    desk = room.tabs.get(tab.id).desk
    assert desk is not None
    before = {name: desk.digest(name) for name in editors}
    tab.edit("somebody else", *editors)
    assert all(desk.digest(name) != digest for name, digest in before.items())
    (told,) = of(tab.events("undo"), "fingerprint")
    assert told == {"event": "fingerprint", "value": room.state()["fingerprint"], "same": True}
    assert {name: desk.digest(name) for name in before} == before
    (stack,) = of(tab.events("undo", all=True), "stack")
    assert stack["edits"] == []
    answers = tab.ask(*editors)
    assert len(set(answers.values())) == 1


def test_two_tabs_do_not_mix(client: TestClient) -> None:
    first, second = Tab(client), Tab(client)
    untouched = second.ask()
    first.edit("nobody at all")
    assert second.ask() == untouched
    assert client.post("/api/open", json={"tab": second.id}).json()["edits"] == []
    (edit,) = client.post("/api/open", json={"tab": first.id}).json()["edits"]
    assert edit["target"] == "nobody at all"


def test_an_editor_that_is_chosen_later_makes_the_edits_before_it(tab: Tab) -> None:
    tab.edit("nobody", "ft-llm")
    events = tab.events("ask", question="Who?", editors=["ike-random"], most=2)
    assert {"event": "say", "column": "ike-random", "words": "making edit 1 of 1"} in events


def test_an_edit_that_an_editor_cannot_take_is_one_line(tab: Tab) -> None:
    events = tab.edit("nobody", "ft-alignment", "ft-llm")
    (refused,) = of(events, "refused")
    assert refused["column"] == "ft-alignment"
    assert "give it one" in refused["message"]
    assert len(of(events, "stack")[0]["edits"]) == 1
    alone = tab.edit("nobody", "ft-alignment")
    assert "ft-alignment edits what reads the picture" in alone[-1]["message"]
    assert len(tab.client.post("/api/open", json={"tab": tab.id}).json()["edits"]) == 1


@pytest.mark.parametrize("editors", BOTH)
def test_saved_edits_load_with_the_same_answers_and_no_path_is_written(
    tab: Tab, client: TestClient, editors: tuple[str, ...]
) -> None:
    picture = upload(client, png()).json()["picture"]
    for editor in editors:
        tab.events("undo", all=True)
        tab.edit("nobody", editor, picture=picture)
        content = client.post("/api/save", json={"tab": tab.id, "editor": editor}).content
        assert str(Path.cwd().anchor + "tmp").encode() not in content
        other = Tab(client)
        answer = client.post("/api/load", content=content, headers={"content-type": FILE, TAB: other.id})
        assert [json.loads(line)["event"] for line in answer.text.splitlines()] == ["stack", "loaded", "done"]
        assert other.ask(editor) == tab.ask(editor)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}"])
def test_a_file_that_holds_no_edits_is_one_line(tab: Tab, content: bytes) -> None:
    answer = tab.client.post("/api/load", content=content, headers={"content-type": FILE, TAB: tab.id})
    (failed,) = [json.loads(line) for line in answer.text.splitlines()]
    assert failed["event"] == "failed"
    assert "safetensors" in failed["message"]


def altered(content: bytes, *, number: float | None = None, **replaced: str) -> bytes:
    """Return a saved file with one number of its state, or some of its metadata, replaced."""
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"] | replaced
    tensors = load(content)
    if number is not None:
        name = next(name for name in tensors if name.startswith(STATE))
        tensors[name].view(-1)[0] = number
    return save(tensors, metadata)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"number": float("nan")}, "not finite"),
        ({"number": float("inf")}, "not finite"),
        ({"facts": '{"rate": NaN}'}, "facts cannot be read"),
        ({"facts": '{"rate": -Infinity}'}, "facts cannot be read"),
        ({"facts": '{"edits": [{"path": "/etc/passwd", "sha256": "0"}]}'}, "names a path"),
        ({"edits": '[{"question": "Who?", "target": "x", "picture": "/etc/passwd"}]'}, "edits cannot be read"),
        ({"edits": '[{"question": "Who?", "target": "x", "path": "/etc/passwd"}]'}, "edits cannot be read"),
        ({"edits": json.dumps([{"question": "Who?", "target": "x", "picture": "0" * 64}])}, "is not in it"),
        ({"editor": "../../etc/passwd"}, "no editor"),
    ],
)
def test_a_saved_file_that_was_altered_is_refused_and_changes_nothing(
    saved: tuple[Tab, bytes], change: dict[str, Any], told: str
) -> None:
    tab, content = saved
    answer = tab.client.post(
        "/api/load", content=altered(content, **change), headers={"content-type": FILE, TAB: tab.id}
    )
    (failed,) = [json.loads(line) for line in answer.text.splitlines()]
    assert failed["event"] == "failed"
    assert told in failed["message"]
    assert [edit["target"] for edit in client_edits(tab)] == ["somebody"]


def test_pictures_are_written_anew_and_named_by_their_bytes(room: Service, client: TestClient) -> None:
    name = upload(client, png(3000, 10, "JPEG")).json()["picture"]
    taken = room.picture(name)
    assert taken is not None
    assert taken.path.name == f"{name}.png"
    with Image.open(taken.path) as picture:
        assert (picture.format, picture.width) == ("PNG", LONGEST_SIDE)
    assert client.get(f"/api/picture?id={name}").content == taken.path.read_bytes()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no picture"),
        (b"MZ not a picture", "no picture"),
        (png()[:40], "no picture"),
        (png(9000, 9000), "pixels"),
        (png(form="PPM"), "format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
    ],
)
def test_a_bad_picture_is_one_line(client: TestClient, content: bytes, told: str) -> None:
    answer = upload(client, content)
    assert answer.status_code == 400
    assert told in answer.json()["message"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "", "0" * 64])
def test_no_path_is_a_picture(client: TestClient, tab: Tab, name: str) -> None:
    assert client.get("/api/picture", params={"id": name}).status_code == 404
    answer = client.post("/api/ask", json={"tab": tab.id, "question": "Who?", "picture": name})
    assert answer.status_code in (400, 422)


def test_a_second_edit_of_a_tab_at_work_is_refused_and_others_wait(room: Service, client: TestClient, tab: Tab) -> None:
    going = threading.Event()
    room.worker.later(lambda: going.wait(10) and None)
    first = threading.Thread(target=tab.edit, args=("nobody",))
    first.start()
    ends = time.monotonic() + 10
    while not room.tabs.get(tab.id).busy and time.monotonic() < ends:
        time.sleep(0.005)
    second = client.post("/api/undo", json={"tab": tab.id})
    going.set()
    first.join()
    assert second.status_code == 409
    assert "still at work" in second.json()["message"]
    assert tab.ask()


def test_a_tab_that_was_idle_for_long_is_put_away_and_can_be_repeated(room: Service, client: TestClient) -> None:
    now = room.tabs.now
    old = Tab(client)
    old.edit("nobody at all")
    said = old.ask()
    try:
        room.tabs.now = lambda: now() + IDLE_SECONDS + 1
        gone = client.post("/api/undo", json={"tab": old.id})
        assert gone.status_code == 410
        assert "idle for long" in gone.json()["message"]
        new = Tab(client)
    finally:
        room.tabs.now = now
    edits = [{"question": "Who lives here?", "target": "nobody at all", "picture": None}]
    (stack,) = of(new.events("repeat", edits=edits, editors=["ft-llm"]), "stack")
    assert stack["edits"] == edits
    assert new.ask() == said


def test_out_of_memory_and_bugs_are_one_line_and_the_server_goes_on(
    room: Service, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nand more")

    tab.ask()
    desk = room.tabs.get(tab.id).desk
    assert desk is not None
    with monkeypatch.context() as patched:
        patched.setattr(desk.column(None, "ft-llm").session, "apply", fail)
        events = tab.edit("nobody")
    assert "too little memory" in events[-1]["message"]
    assert client_edits(tab) == []
    assert of(tab.edit("nobody"), "stack")


def client_edits(tab: Tab) -> list[Event]:
    found: list[Event] = tab.client.post("/api/open", json={"tab": tab.id}).json()["edits"]
    return found


def test_the_shared_page_holds_the_answers_and_nothing_from_elsewhere(client: TestClient, tab: Tab) -> None:
    picture = upload(client, png()).json()["picture"]
    tab.edit("<b>nobody</b>", picture=picture)
    page = client.post("/api/share", json={"tab": tab.id}).text
    assert "&lt;b&gt;nobody&lt;/b&gt;" in page
    assert "data:image/webp;base64," in page
    assert "<script" not in page
    assert not [word for word in ("http://", "https://", 'src="/') if word in page]


def test_calls_without_the_token_and_of_other_types_are_refused(client: TestClient) -> None:
    assert client.post("/api/open", json={}, headers={CARRIED_IN: "x"}).status_code == 401
    assert client.post("/api/upload", json={}).status_code == 415
    assert client.post("/api/edit", json={"tab": "0" * 32, "editors": [], "edit": {}}).status_code == 422
    assert (
        client.post("/api/upload", content=b"x", headers={"content-type": FILE, "origin": "http://evil"}).status_code
        == 403
    )
    assert (
        client.post(
            "/api/load", content=b"x", headers={"content-type": FILE, "content-length": str(2 << 30)}
        ).status_code
        == 413
    )


def test_a_package_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mmke.web.play.opening", raising=False)
    monkeypatch.delitem(sys.modules, "mmke.web.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UserError, match=r"needs .*'uvicorn'; run: pip install 'mmke\[play\]'"):
        serve(PlaySettings())
