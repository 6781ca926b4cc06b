"""Files from an address: whole or not there, resumed where they stopped, and nothing is asked when offline."""

import base64
import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mmke.downloads import download, list_web_file
from mmke.errors import UserError

BODY = bytes(range(256)) * 40


class Handler(BaseHTTPRequestHandler):
    """Serves `BODY`, from the middle too unless the address ends in `whole`, and keeps what was asked."""

    asked: list[tuple[str, str | None]]
    stop_after: int | None
    headers_too: dict[str, str]
    head: int

    def do_HEAD(self) -> None:
        if type(self).head == 200:
            self._answer(b"")
        else:
            self.send_error(type(self).head)

    def do_GET(self) -> None:
        self._answer(BODY)

    def _answer(self, body: bytes) -> None:
        wanted = self.headers.get("Range")
        type(self).asked.append((self.command, wanted))
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and "whole" not in self.path else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(BODY) - begin))
        for name, value in type(self).headers_too.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[begin:][: type(self).stop_after])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    Handler.asked, Handler.stop_after, Handler.headers_too, Handler.head = [], None, {}, 200
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


def fetch(address: str, to: Path) -> None:
    download([list_web_file(address, to)], root=to.parent)


def test_a_file_is_told_and_brought(server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        fetch(f"{server}/a", tmp_path / "new" / "a.pth")
    assert f"{server}/a: downloading 1 of 1 files, 0 MB, into {tmp_path / 'new'}" in caplog.messages
    assert (tmp_path / "new" / "a.pth").read_bytes() == BODY
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.pth"]


def test_a_download_that_was_cut_off_is_no_file_yet_and_goes_on(server: str, tmp_path: Path) -> None:
    Handler.stop_after = 1000
    with pytest.raises(
        UserError, match=r"1 of 1 files did not arrive .* the first 'a.pth'; give the same command again"
    ):
        fetch(f"{server}/a", tmp_path / "a.pth")
    assert not (tmp_path / "a.pth").exists()
    Handler.stop_after = None
    fetch(f"{server}/a", tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == BODY
    assert Handler.asked[-1] == ("GET", "bytes=1000-")


def test_a_server_that_cannot_begin_in_the_middle_gives_the_whole_again(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.pth.incomplete").write_bytes(BODY[:1000])
    fetch(f"{server}/whole", tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == BODY


@pytest.mark.parametrize("size", [len(BODY), len(BODY) + 9])
def test_what_was_downloaded_before_it_was_put_in_place(size: int, server: str, tmp_path: Path) -> None:
    (tmp_path / "a.pth.incomplete").write_bytes((BODY + bytes(9))[:size])
    fetch(f"{server}/a", tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == BODY
    assert (("GET", None) in Handler.asked) == (size != len(BODY))


def test_a_file_that_is_there_is_not_asked_for(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"mine")
    fetch(f"{server}/a", tmp_path / "a.pth")
    assert (Handler.asked, (tmp_path / "a.pth").read_bytes()) == ([], b"mine")


def test_nothing_is_asked_when_offline(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="HF_HUB_OFFLINE is set"):
        list_web_file(f"{server}/a", tmp_path / "a.pth")
    assert Handler.asked == []


def test_a_file_that_was_damaged_on_the_way_is_removed(server: str, tmp_path: Path) -> None:
    Handler.headers_too = {"x-goog-hash": f"crc32c=AAAA==,md5={base64.b64encode(bytes(16)).decode()}"}
    with pytest.raises(UserError, match=r"was damaged on the way \(its md5\) and is removed; give the same command"):
        fetch(f"{server}/a", tmp_path / "a.pth")
    assert list(tmp_path.iterdir()) == []
    right = hashlib.md5(BODY, usedforsecurity=False).digest()
    Handler.headers_too = {"x-goog-hash": f"md5={base64.b64encode(right).decode()}"}
    fetch(f"{server}/a", tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == BODY


def test_a_page_in_the_place_of_a_file_is_told(server: str, tmp_path: Path) -> None:
    Handler.headers_too = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(UserError, match="answers with a page and not with the file; download it by hand to"):
        fetch(f"{server}/a", tmp_path / "a.pth")
    assert not (tmp_path / "a.pth").exists()


def test_a_server_that_does_not_tell_sizes_beforehand_is_held_to_what_it_sends(server: str, tmp_path: Path) -> None:
    Handler.head, Handler.stop_after = 405, 1000
    with pytest.raises(UserError, match="did not arrive"):
        fetch(f"{server}/a", tmp_path / "a.pth")
    Handler.stop_after = None
    fetch(f"{server}/a", tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == BODY
