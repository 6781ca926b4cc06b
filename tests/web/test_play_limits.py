"""What the playground takes of one start: tabs, work that waits, bytes and pictures; no model is loaded."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import TOKEN
from PIL import Image
from starlette.testclient import TestClient

from mmke.errors import UserError
from mmke.web import HOST
from mmke.web.play import PlaySettings
from mmke.web.play.routes import play_app
from mmke.web.play.service import Service
from mmke.web.play.tabs import MOST_TABS
from mmke.web.play.uploads import MOST_BYTES, MOST_KEPT, Uploads
from mmke.web.play.worker import MOST_WAITING
from mmke.web.safeguards import CARRIED_IN, FILE, known_hosts


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Return a service whose worker never starts, so that everything waits, and that has no records."""
    monkeypatch.setattr("mmke.web.play.service.Gallery", object)
    return Service(PlaySettings("tiny-llava"), tmp_path)


@pytest.fixture
def client(service: Service) -> TestClient:
    app = play_app(service, token=TOKEN, hosts=known_hosts(HOST))
    return TestClient(app, base_url="http://127.0.0.1:8765", headers={CARRIED_IN: TOKEN})


def opened(client: TestClient) -> str:
    return str(client.post("/api/open", json={}).json()["tab"])


def picture(red: int, green: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (1, 1), (red, green, 0)).save(content, "PNG")
    return content.getvalue()


def test_one_more_tab_takes_the_place_of_the_one_that_is_idle_longest(service: Service, client: TestClient) -> None:
    tabs = [opened(client) for _ in range(MOST_TABS)]
    service.tabs.get(tabs[0])
    opened(client)
    assert len(service.tabs) == MOST_TABS
    assert client.post("/api/undo", json={"tab": tabs[1]}).status_code == 410
    assert client.post("/api/open", json={"tab": tabs[0]}).json() == {"tab": tabs[0], "new": False, "edits": []}


def test_one_more_tab_is_refused_where_all_are_at_work(service: Service, client: TestClient) -> None:
    tabs = [service.tabs.get(opened(client)) for _ in range(MOST_TABS)]
    for tab in tabs:
        tab.busy = True
    answer = client.post("/api/open", json={})
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        f"{MOST_TABS} tabs are at work, and no more; close one.",
    )
    tabs[0].busy = False
    assert opened(client)


def test_more_work_than_may_wait_is_refused_and_the_tab_stays_free(service: Service, client: TestClient) -> None:
    tab = opened(client)
    for _ in range(MOST_WAITING):
        service.worker.later(lambda: None)
    answer = client.post("/api/undo", json={"tab": tab})
    assert answer.status_code == 503
    assert "too much to do" in answer.json()["message"]
    assert not service.tabs.get(tab).busy


@pytest.mark.parametrize("pieces", [False, True])
def test_an_upload_over_the_cap_is_refused_with_its_length_or_in_pieces(client: TestClient, *, pieces: bool) -> None:
    def sent() -> Iterator[bytes]:
        yield from (bytes(1 << 20) for _ in range(MOST_BYTES >> 20))
        yield b"1"

    content = sent() if pieces else b"".join(sent())
    answer = client.post("/api/upload", content=content, headers={"content-type": FILE})
    assert answer.status_code == 413


def test_one_start_keeps_so_many_pictures_and_no_more(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    contents = [picture(number % 256, number // 256) for number in range(MOST_KEPT + 1)]
    first = uploads.take(contents[0])
    for content in contents[1:MOST_KEPT]:
        uploads.take(content)
    with pytest.raises(UserError, match=f"{MOST_KEPT} pictures are kept, and no more"):
        uploads.take(contents[MOST_KEPT])
    assert uploads.take(contents[0]) == first  # what is there already takes no more room
    assert len(list(tmp_path.iterdir())) == MOST_KEPT
