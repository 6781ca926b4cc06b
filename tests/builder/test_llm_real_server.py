"""The writer `llm` against a real server: `transformers serve` with SmolLM2-135M-Instruct, which cannot write JSON."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from llm_projects import change, set_up
from stub_endpoint import NoNetwork

from mmke.build.project import open_project
from mmke.build.records import records
from mmke.build.writers.llm.answers import Described
from mmke.build.writers.llm.endpoint import Endpoint
from mmke.build.writers.llm.replies import Message, Request
from mmke.build.writers.llm.settings import read_llm_settings
from mmke.build.writers.llm.writer import LlmWriter
from mmke.errors import CannotWriteError, UserError

pytestmark = pytest.mark.slow
MODEL = "smollm2"
SHORT = "version: 1\n\nAnswer with one short sentence.\n\n```json\n{}\n```\n"
"""A prompt of the project's own; those that come with mmke have a thousand tokens, many to be read six times here."""
PATIENCE = 120
"""Seconds until the server must answer."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the small language model on a free port, and end the server whatever happens; yield its address."""
    pytest.importorskip("fastapi")
    folder = tmp_path_factory.mktemp("served")
    write_model(folder / MODEL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "transformers.cli.transformers", "serve", MODEL, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder), "OMP_NUM_THREADS": "1"}
    with (
        (folder / "log").open("wb") as log,
        ended(
            subprocess.Popen(
                [sys.executable, *command, "--device", "cpu", "--dtype", "float32"],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        ) as process,
    ):
        wait_for(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}/v1"


def write_model(folder: Path) -> None:
    """Write the packaged model as a folder that the library serves."""
    import torch

    from mmke.backbones.smol.language import load_language_model, load_tokenizer

    load_language_model(dtype=torch.bfloat16).save_pretrained(folder)
    load_tokenizer().save_pretrained(folder)


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url):  # noqa: S310
                return
        except urllib.error.URLError:
            time.sleep(0.2)
    pytest.fail(f"the server does not answer: {log.read_text()[-2000:]}")


def test_a_plain_reply_of_a_real_model_arrives_with_its_count_of_tokens(server: str, tmp_path: Path) -> None:
    with open_project(set_up(tmp_path, base_url=server, model=MODEL)) as project:
        settings = read_llm_settings(project)
    question = Message(role="user", content="What is the capital of France?")
    request = Request(model=MODEL, temperature=0.0, tokens=30, extra={}, messages=(question,))
    reply = Endpoint(settings, {}).send(request, Described)
    assert (reply.text, reply.finish) == ("The capital of France is Paris.", "stop")
    assert (reply.sent, reply.received) == (37, 8)
    assert reply.model.startswith(MODEL)


def test_a_model_that_cannot_write_json_is_refused_each_record_and_asked_once(server: str, tmp_path: Path) -> None:
    set_up(tmp_path, base_url=server, model=MODEL, tokens=60, attempts=3)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/entity-describe.md").write_text(SHORT, encoding="utf-8")
    reasons: list[list[str]] = []
    for transport in (None, NoNetwork()):
        with open_project(tmp_path) as project:
            writer, found = LlmWriter(project, transport), []
            for record in records(project):
                with pytest.raises(
                    CannotWriteError,
                    match=r"^after 3 attempts: the reply holds no JSON object: '.+'; see replies/llm/\w+\.json$",
                ) as why:
                    writer.describe(record.edit.draft)
                found.append(str(why.value))
            reasons.append(found)
            told = writer.summary()
    assert reasons[0] == reasons[1]
    kept = list((tmp_path / "replies/llm").iterdir())
    assert len(kept) == 6
    assert told.startswith("smollm2: 0 replies now, 6 in the whole project, ")
    assert "without a count" not in told


def test_a_model_that_a_real_server_has_not_is_told_in_one_line(server: str, tmp_path: Path) -> None:
    set_up(tmp_path, base_url=server, model="smollm3")
    change(tmp_path, attempts=1)
    with open_project(tmp_path) as project, pytest.raises(UserError) as caught:
        LlmWriter(project).describe(records(project)[0].edit.draft)
    assert "smollm3" in str(caught.value)
    assert "\n" not in str(caught.value)
