"""`mmke play --edit`: a tab begins with a saved edit in the model, and can take it back."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from browser import TOKEN
from starlette.testclient import TestClient

import mmke
from mmke import cli
from mmke.testing.records import draw_picture
from mmke.web.play import PlaySettings
from mmke.web.play.routes import play_app
from mmke.web.play.service import Service
from mmke.web.safeguards import CARRIED_IN, known_hosts


@pytest.fixture(scope="module")
def edit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("edit")
    draw_picture(place / "flag.png", "red")
    backbone = mmke.load_backbone("tiny-llava")
    editor = mmke.load_editor("ft-llm", backbone="tiny-llava", steps=3, learning_rate=1e-2)
    with editor.open(backbone, mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query("Which flag?", mmke.picture(place / "flag.png")), "Peru")])
        session.save(place / "mine", embed_pictures=True)
    return place / "mine"


@pytest.mark.slow
def test_a_tab_begins_with_the_edit_and_can_take_it_back(edit: Path, tmp_path: Path) -> None:
    service = Service(PlaySettings("tiny-llava", edits=(edit,)), tmp_path)
    client = TestClient(
        play_app(service, token=TOKEN, hosts=known_hosts("127.0.0.1")),
        base_url="http://127.0.0.1",
        headers={CARRIED_IN: TOKEN},
    )
    service.start()
    try:
        while service.state()["state"] == "loading":
            time.sleep(0.02)
        assert service.state()["state"] == "ready", service.state()
        opened = client.post("/api/open", json={}).json()
        (shown,) = opened["edits"]
        assert (shown["question"], shown["target"]) == ("Which flag?", "Peru")
        assert client.get("/api/picture", params={"id": shown["picture"]}).content.startswith(b"\x89PNG")
        before, after = asked(client, opened["tab"])
        backbone = mmke.load_backbone("tiny-llava")
        with mmke.load_edit(edit, backbone) as session:
            assert after == mmke.say(session, "Which flag?", max_new_tokens=8)
        assert before == mmke.say(backbone, "Which flag?", max_new_tokens=8)
        assert before != after
        client.post("/api/undo", json={"tab": opened["tab"], "all": True})
        assert asked(client, opened["tab"]) == [before, before]
    finally:
        service.close()


def asked(client: TestClient, tab: str) -> list[str]:
    """Return what is answered before and after the edits."""
    asks: dict[str, Any] = {"tab": tab, "question": "Which flag?", "editors": ["ft-llm"], "most": 8}
    events = [json.loads(line) for line in client.post("/api/ask", json=asks).text.splitlines()]
    return [event["text"] for event in events if event["event"] == "answer"]


def test_a_broken_edit_is_told_before_the_page_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["play", "--edit", str(tmp_path), "--no-browser"]) == 2
    assert "is no edit: it has no edit.json" in capsys.readouterr().err
