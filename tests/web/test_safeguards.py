"""What a browser, or somebody else, can send to a page's server."""

import json
import re
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from kit import make_project
from starlette.testclient import TestClient

from mmke.build.project import open_project
from mmke.build.records import records
from mmke.errors import UserError
from mmke.web import HOST
from mmke.web.app import MOST_BYTES
from mmke.web.safeguards import CARRIED_IN, known_hosts, new_token
from mmke.web.server import address_of, listen, open_page
from mmke.web.verify import serve
from mmke.web.verify.opening import own_port, service_of
from mmke.web.verify.routes import verify_app
from mmke.web.verify.service import clean_name

TOKEN = new_token()
CALLS = ("name", "next", "record", "check", "decide", "undo")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", count=3)


@contextmanager
def asking(folder: Path) -> Iterator[TestClient]:
    """Yield a client of a project's page that carries the token."""
    with open_project(folder) as project:
        service = service_of(project, records(project), annotator="Ruth")
        app = verify_app(service, token=TOKEN, hosts=known_hosts(HOST))
        yield TestClient(app, base_url="http://127.0.0.1:8765", headers={CARRIED_IN: TOKEN})


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with asking(folder) as found:
        yield found


@pytest.fixture(scope="module")
def all_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("all"), count=3)


@pytest.fixture(scope="module")
def reader(all_folder: Path) -> Iterator[TestClient]:
    """Return a client for tests after which nothing is written."""
    with asking(all_folder) as found:
        yield found


def verdict(client: TestClient, **more: object) -> dict[str, Any]:
    """Return what the page sends to accept the first record."""
    view = client.post("/api/next", json={"annotator": "Ruth"}).json()
    plain = {
        "annotator": "Ruth",
        "key": "0123456789abcdef",
        "record": view["record"],
        "content": view["content"],
        "over": None,
        "turn": "first",
        "decision": "accept",
        "seconds": 2.5,
    }
    return {**plain, **more}


def test_the_page_may_load_nothing_but_its_own_scripts_and_holds_nothing_private(reader: TestClient) -> None:
    answer = reader.get("/", headers={CARRIED_IN: ""})
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    (nonce,) = set(re.findall(r"'nonce-([^']+)'", policy))
    assert policy.startswith("default-src 'none';")
    assert set(re.findall(r'nonce="([^"]+)"', answer.text)) == {nonce}
    assert not re.search(r"https?://", answer.text)
    assert "Aland" not in answer.text
    assert "Ruth" not in answer.text
    assert reader.get("/").headers["content-security-policy"] != policy
    for name, value in (
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ):
        assert answer.headers[name] == value


def test_a_foreign_host_is_refused(reader: TestClient) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        assert reader.get("/", headers={"host": host}).status_code == 400
    assert reader.get("/", headers={"host": "localhost:8765"}).status_code == 200


def test_every_call_asks_for_the_token(reader: TestClient) -> None:
    for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", "ü"):
        carried = {CARRIED_IN: wrong.encode()}
        assert reader.get("/api/start", headers=carried).status_code == 401
        assert reader.get("/api/picture?record=entity/flag/aland&role=edit", headers=carried).status_code == 401
        for call in CALLS:
            assert reader.post(f"/api/{call}", headers=carried, json={"annotator": "x"}).status_code == 401


def test_a_call_comes_from_this_page_in_json(reader: TestClient) -> None:
    ask = {"annotator": "Ruth"}
    assert reader.post("/api/next", json=ask, headers={"origin": "http://127.0.0.1:8765"}).status_code == 200
    for origin in ("http://127.0.0.1:1", "https://127.0.0.1:8765", "http://evil.example", "null"):
        assert reader.post("/api/next", json=ask, headers={"origin": origin}).status_code == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = reader.post("/api/next", content=json.dumps(ask), headers={"content-type": kind})
        assert answer.status_code == 415
    assert reader.get("/api/next").status_code == 405


def test_what_is_too_long_is_refused_also_in_pieces(reader: TestClient) -> None:
    headers = {"content-type": "application/json"}
    assert reader.post("/api/next", content=b"x" * (MOST_BYTES + 1), headers=headers).status_code == 413
    pieces = (b"x" * 65536 for _ in range(8))
    assert reader.post("/api/next", content=pieces, headers=headers).status_code == 413
    lying = {**headers, "content-length": "9" * 400}
    assert reader.post("/api/next", content=b"{}", headers=lying).status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"annotator": 3}',
        b'{"annotator": "Ruth", "more": 1}',
        b'{"annotator": "' + b"x" * 5000 + b'"}',
        b"[" * 100_000,
        b'{"annotator": "\\ud800"}',
    ],
)
def test_nonsense_is_told(reader: TestClient, content: bytes) -> None:
    answer = reader.post("/api/next", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["message"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "../../x"},
        {"seconds": -1},
        {"seconds": "3"},
        {"turn": "third"},
        {"decision": "undo"},
        {"reasons": "wrong fact"},
        {"corrections": {"target": 3}},
        {"corrections": {str(n): "" for n in range(60)}},
        {"comment": "x" * 20_000},
        {"content": None},
    ],
)
def test_a_verdict_of_wrong_types_is_told_and_not_written(
    reader: TestClient, all_folder: Path, wrong: dict[str, Any]
) -> None:
    answer = reader.post("/api/decide", json=verdict(reader, **wrong))
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.json()["message"]
    assert not (all_folder / "verdicts.jsonl").exists()


def test_a_number_that_is_none_is_told(reader: TestClient) -> None:
    content = json.dumps(verdict(reader)).replace("2.5", "NaN")
    assert reader.post("/api/decide", content=content, headers={"content-type": "application/json"}).status_code == 422


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\u0000b", "a\u202eb"])
def test_a_name_that_cannot_be_one_is_told(reader: TestClient, name: str) -> None:
    with pytest.raises(UserError, match="a name has 1 to 60"):
        clean_name(name)
    answer = reader.post("/api/next", json={"annotator": name})
    assert answer.status_code == 400
    assert "a name has" in answer.json()["message"]


def test_a_name_in_other_capitals_is_the_same_person(client: TestClient) -> None:
    assert client.post("/api/name", json={"annotator": " Ruth  Andersen "}).json() == {"annotator": "Ruth Andersen"}
    assert client.post("/api/name", json={"annotator": "ruth andersen"}).json() == {"annotator": "Ruth Andersen"}


def test_a_verdict_on_what_has_changed_is_refused_and_what_is_there_can_be_had(reader: TestClient) -> None:
    sent = verdict(reader, content="0" * 16)
    answer = reader.post("/api/decide", json=sent)
    assert answer.status_code == 409
    assert "has changed since it was shown" in answer.json()["message"]
    now = reader.post("/api/record", json={"annotator": "Ruth", "record": sent["record"]}).json()
    assert now["content"] == verdict(reader)["content"]


def test_an_unknown_record_is_told(reader: TestClient) -> None:
    for call, more in (("record", {}), ("check", {"corrections": {}})):
        answer = reader.post(f"/api/{call}", json={"annotator": "Ruth", "record": "../../etc/passwd", **more})
        assert answer.status_code == 400
        assert "there is no record" in answer.json()["message"]
    assert reader.post("/api/decide", json=verdict(reader, record="nothing")).status_code == 400


def test_a_verdict_sent_again_is_written_once(client: TestClient, folder: Path) -> None:
    sent = verdict(client)
    for _ in range(2):
        assert client.post("/api/decide", json=sent).status_code == 200
    assert len((folder / "verdicts.jsonl").read_text().splitlines()) == 1


def test_pictures_come_by_record_and_role_alone(client: TestClient, folder: Path) -> None:
    record = "entity/flag/aland"
    answer = client.get("/api/picture", params={"record": record, "role": "edit"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content == (folder / "pictures" / "flag-boria-0.png").read_bytes()
    for role in ("", "one_hop", "../build.toml", "flag-boria-0.png", "/etc/passwd", "x" * 5000):
        assert client.get("/api/picture", params={"record": record, "role": role}).status_code == 404
    assert client.get("/api/picture", params={"record": "../../x", "role": "edit"}).status_code == 404
    for path in ("/files/..%2f..%2fapp.py", "/files/../app.py", "/files/__init__.py", "/pictures/flag-boria-0.png"):
        assert client.get(path).status_code == 404


def test_a_picture_name_that_leaves_its_folder_is_not_followed(client: TestClient, folder: Path) -> None:
    picture = folder / "pictures" / "flag-boria-0.png"
    picture.unlink()
    answer = client.get("/api/picture", params={"record": "entity/flag/aland", "role": "edit"})
    assert (answer.status_code, answer.json()["message"]) == (404, "the file of picture edit is gone")
    picture.symlink_to(folder / "build.toml")
    assert client.get("/api/picture", params={"record": "entity/flag/aland", "role": "edit"}).status_code == 404


def test_a_disk_that_is_full_is_told(client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmke.build.log.put", full)
    answer = client.post("/api/decide", json=verdict(client))
    assert (answer.status_code, "No space left" in answer.json()["message"]) == (507, True)
    monkeypatch.undo()
    assert client.post("/api/decide", json=verdict(client)).status_code == 200
    assert len((folder / "verdicts.jsonl").read_text().splitlines()) == 1


def test_a_port_that_is_taken_is_told() -> None:
    with listen(HOST, 0) as taken:
        port = taken.getsockname()[1]
        assert address_of(taken, "abc") == f"http://127.0.0.1:{port}/#abc"
        with pytest.raises(UserError, match=f"port {port} .*another port with --port"):
            listen(HOST, port)
    for host, port, told in (
        (HOST, 70_000, "ports go from 0 to 65535"),
        ("", 0, "the host is empty"),
        ("x" * 70, 0, "cannot listen"),
        ("203.0.113.7", 0, "cannot listen"),
    ):
        with pytest.raises(UserError, match=told):
            listen(host, port)


def test_only_a_browser_with_a_window_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    for kind in (webbrowser.GenericBrowser, webbrowser.BackgroundBrowser, webbrowser.Chrome):
        browser = kind("true")
        monkeypatch.setattr(browser, "open", lambda address, kind=kind: opened.append(kind.__name__))
        monkeypatch.setattr(webbrowser, "get", lambda browser=browser: browser)
        open_page("http://127.0.0.1/")
    assert opened == ["BackgroundBrowser", "Chrome"]

    def none() -> None:
        raise webbrowser.Error

    monkeypatch.setattr(webbrowser, "get", none)
    open_page("http://127.0.0.1/")


def test_other_machines_may_ask_only_where_the_user_said_so() -> None:
    assert "192.168.1.5" in known_hosts("192.168.1.5")
    assert set(known_hosts(HOST)) == {"127.0.0.1", "localhost", "::1", "[::1]", "[127.0.0.1]"}


def test_a_package_that_is_missing_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("mmke.web.") and name != "mmke.web.verify"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with open_project(folder) as project, pytest.raises(UserError, match=r"needs .*'uvicorn'; run: pip install 'mmke"):
        serve(project, open_browser=False)


def test_a_project_has_a_port_of_its_own(folder: Path, tmp_path: Path) -> None:
    assert own_port(folder) == own_port(folder / ".." / folder.name)
    assert 20_000 <= own_port(folder) < 30_000
    assert own_port(folder) != own_port(tmp_path)


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_from_what_is_behind_it(scheme: int) -> None:
    """Every pair of colours reaches the ratio of 4.5 that WCAG 2.2 (1.4.3) asks for."""
    style = (files("mmke.web") / "files" / "page.css").read_text()
    colours = dict(
        re.findall(r"--([a-z]+): (#[0-9a-f]{6})", re.findall(r":root \{(.*?)\n *\}", style, re.DOTALL)[scheme])
    )
    behind = ("paper", "card", "soft")
    pairs = [(text, ground) for text in ("ink", "muted", "good", "care", "bad", "accent") for ground in behind]
    pairs += [("ink", ground) for ground in ("new", "old")]
    pairs += [("on", ground) for ground in ("good", "care", "bad", "accent")]
    ratios = {}
    for text, ground in pairs:
        light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        ratios[text, ground] = (light + 0.05) / (dark + 0.05)
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}
