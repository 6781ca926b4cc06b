"""A results folder keeps what the model was asked, as the model read it."""

from pathlib import Path

import pytest

from mmke.results.cases import digest
from mmke.results.finished import CASES, read_cases
from mmke.results.run_json import read_run
from mmke.running.loading import load_backbone
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run


@pytest.mark.parametrize("name", ["tiny-llava", "tiny-minigpt4"])
def test_each_probes_prompt_stands_with_its_case(name: str, small_data: Path, tmp_path: Path) -> None:
    request = Request(name, ("none",), ("mmke-entity",), data=small_data, out=tmp_path, limit=1)
    (folder,) = run(plan(request))
    (kept,) = read_cases(folder).values()
    backbone = load_backbone(name)
    for probe, prompt in zip(kept.case.probes, kept.prompts, strict=True):
        assert prompt is not None
        assert prompt == backbone.prompt_text(probe.query)
        assert probe.query.text in prompt
        assert ("<picture: " in prompt) == (probe.query.image is not None)
    assert f'"prompts_sha256":"{digest(kept.prompts)}"' in (folder / CASES).read_text()
    settings = read_run(folder)
    assert settings is not None
    assert settings["prompt_revision"] == backbone.prompt_revision
