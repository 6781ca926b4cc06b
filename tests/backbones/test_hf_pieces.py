"""Prompts over LLaMA's real vocabulary, whose pieces begin with the space before a word: ids of every question."""

import json
import shutil
from pathlib import Path

import pytest
from hf_hub import Hub
from PIL import Image
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mmke.backbones.hf import model as hf
from mmke.backbones.hf.processor import process
from mmke.backbones.hf.prompt import Template
from mmke.backbones.hf.rendering import QUESTION
from mmke.types import ImageRef
from vocabularies import folders

QUESTIONS = ["Which flag is it?", " It begins with a space", "\nand with a line", "42?", "Ünï?", "<b>", "a", "  two"]
SCHEMES = {
    "every stretch of text": normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    "the first stretch of text": None,
}


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> models.BPE:
    folder = folders.converted_llama(tmp_path_factory.mktemp("pieces"))
    stated = json.loads((folder / "tokenizer.json").read_text())["model"]
    merges = [tuple(merge.split(" ")) for merge in stated["merges"]]
    return models.BPE(stated["vocab"], merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)


@pytest.fixture(params=SCHEMES)
def tokenizer(request: pytest.FixtureRequest, core: models.BPE) -> PreTrainedTokenizerFast:
    """A tokenizer that puts a space before every stretch of text between special tokens, or before the first."""
    made = Tokenizer(core)
    if SCHEMES[request.param] is not None:
        made.normalizer = SCHEMES[request.param]
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t in ("<s>", "</s>", "<unk>", "<image>")]
    )
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>", image_token="<image>"
    )


@pytest.fixture(params=["llava", "bare-llava"])
def template(request: pytest.FixtureRequest, hub: Hub, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Template:
    folder = Path(shutil.copytree(hub.folder(request.param), tmp_path / "model"))
    tokenizer.save_pretrained(folder)
    config = hf.read_config(folder)
    config.image_token_id = config.image_token_index = tokenizer.convert_tokens_to_ids("<image>")
    return hf.read_template(folder, config)


@pytest.mark.parametrize("pictured", [True, False], ids=["picture", "text"])
def test_every_question_is_read_as_in_the_whole_prompt(
    template: Template, picture: ImageRef, *, pictured: bool
) -> None:
    prompt, image = template.prompt(frozenset()), picture if pictured else None
    before = template.render(QUESTION, pictured=pictured).partition(QUESTION)[0]
    shown = Image.open(picture.path) if pictured else None
    for question in QUESTIONS:
        text = prompt.joint(question, "the flag of Peru")
        whole = process(template.processor, before + text, shown)["input_ids"][0].tolist()
        ids = prompt.input_ids(question, "the flag of Peru", image=image)
        assert [template.image_token if token < 0 else token for token in ids] == whole
