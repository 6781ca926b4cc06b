"""Chat templates of every kind: used as they are meant, or told in one line why not; the same prompt on every day."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hf_hub import Hub, load
from transformers.utils import chat_template_utils

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.errors import UserError
from mmke.types import Ask, ImageRef

JINJA, TOKENIZER = "chat_template.jinja", "tokenizer_config.json"
TEXT = (
    "{% for message in messages %}{{ message.role + ': ' + message.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
PRINTED = TEXT.replace("message.role + ': ' + message.content + '\n'", "message.role ~ ': ' ~ message.content ~ '\n'")


@pytest.fixture
def copied(hub: Hub, tmp_path: Path) -> Path:
    """A folder whose template a test may change."""
    return Path(shutil.copytree(hub.folder("llava"), tmp_path / "model"))


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def read(backbone: ComposedBackbone, image: ImageRef | None = None) -> str:
    encoded = backbone.prompt.encode("Who?", "I.", image=image, ask=Ask())
    text: str = backbone.prompt.tokenizer.decode([key for key in encoded.input_ids if key >= 0])
    return text


@pytest.mark.parametrize("template", [TEXT, PRINTED], ids=["joined", "printed"])
def test_a_template_that_takes_one_text_is_given_one(copied: Path, picture: ImageRef, template: str) -> None:
    (copied / JINJA).write_text(template)
    backbone = load(copied)
    assert read(backbone) == "<s>user: Who?\nassistant: I."
    assert read(backbone, picture) == "<s>user: \nWho?\nassistant: I."
    assert backbone.prompt.slots(picture) == 4


def test_of_a_rendered_prompt_the_questions_own_positions_are_known(copied: Path, picture: ImageRef) -> None:
    (copied / JINJA).write_text(TEXT)
    prompt = load(copied).prompt
    for image in (None, picture):
        for ask in (Ask(), Ask(decode="generate")):
            encoded = prompt.encode("Who is it?", "I.", image=image, ask=ask)
            begin, end = encoded.question
            assert prompt.tokenizer.decode(encoded.input_ids[begin:end]).strip() == "Who is it?"


def test_a_template_without_pictures_is_given_the_placeholder(copied: Path, picture: ImageRef) -> None:
    both = "message.content if message.content is string else message.content[-1].text"
    (copied / JINJA).write_text(TEXT.replace("message.content", f"({both})"))
    assert load(copied).prompt.slots(picture) == 4


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('roles must alternate') }}", r"cannot be rendered \(roles must alternate\)"),
        ("{% for message in messages %}{{ message.role }", r"cannot be rendered \(unexpected '}'\)"),
        ("{{ tool() }}", r"cannot be rendered \('tool' is undefined\)"),
        ("{{ 1 / 0 }}", r"cannot be rendered \(division by zero\)"),
        ("Hello.", "does not render the question and the answer once, as text: 'Hello.'"),
    ],
)
def test_a_template_that_cannot_be_used_is_told(copied: Path, template: str, why: str) -> None:
    (copied / JINJA).write_text(template)
    with pytest.raises(UserError, match=f"its chat template {why}.*; copy the model's own there$"):
        load(copied, skeleton=True)


def test_a_template_of_the_tokenizer_alone_is_used(hub: Hub, copied: Path) -> None:
    change(copied / TOKENIZER, chat_template=(copied / JINJA).read_text())
    (copied / JINJA).unlink()
    backbone, whole = load(copied, skeleton=True), hub.load("llava", skeleton=True)
    assert read(backbone) == read(whole)
    assert backbone.prompt_revision == whole.prompt_revision


@pytest.mark.parametrize("where", ["tokenizer", "processor"])
def test_of_several_templates_the_default_is_used_and_without_one_it_is_told(copied: Path, where: str) -> None:
    templates = [{"name": name, "template": TEXT.replace("user", name)} for name in ("default", "tools")]
    (copied / JINJA).unlink()
    file = copied / (TOKENIZER if where == "tokenizer" else "chat_template.json")
    file.write_text(file.read_text() if file.is_file() else "{}")
    change(file, chat_template=templates)
    assert read(load(copied, skeleton=True)) == "<s>user: Who?\nassistant: I."
    change(file, chat_template=[{**templates[0], "name": "chat"}, templates[1]])
    with pytest.raises(UserError, match=r"has several chat templates \(chat, tools\) and none is called 'default'"):
        load(copied, skeleton=True)


def test_a_template_that_prints_the_date_prints_one_date(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copied / JINJA).write_text("{{ strftime_now('%d %b %Y') }} " + TEXT)
    present = chat_template_utils.datetime  # type: ignore[attr-defined]
    assert read(load(copied, skeleton=True)) == "<s>26 Jul 2024 user: Who?\nassistant: I."
    assert chat_template_utils.datetime is present  # type: ignore[attr-defined]


def test_another_prompt_is_another_revision(hub: Hub, copied: Path) -> None:
    before = hub.load("llava", skeleton=True).prompt_revision
    assert load(copied, skeleton=True).prompt_revision == before
    (copied / JINJA).write_text("Be brief. " + (copied / JINJA).read_text())
    assert load(copied, skeleton=True).prompt_revision != before
    assert hub.load("bare-llava", skeleton=True).prompt_revision != before
