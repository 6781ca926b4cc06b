"""The settings of every registered editor are read back from results and checkpoints as they were written."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmke import registry, renamed
from mmke.benchmarks.probes.published import T_REL
from mmke.editing.settings import resolve
from mmke.results.manifest import RunFacts, RunSettings, check_same_settings, write_run
from mmke.results.run_json import read_run
from mmke.types import PROTOCOLS, Switches

EDITORS = tuple(registry.names("editors"))
BACKBONES = tuple(registry.names("backbones"))


def written(editor: str, backbone: str, protocol: str) -> dict[str, Any]:
    """Return an editor's settings as JSON gives them back."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(resolve(editor, backbone, {}, protocol=protocol))))
    return plain


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("editor", EDITORS)
def test_no_setting_of_today_is_taken_for_an_earlier_one(editor: str, protocol: str) -> None:
    for backbone in BACKBONES:
        settings = written(editor, backbone, protocol)
        assert renamed.current(settings, editor=editor, protocol=protocol) == settings
        # Only what the protocol alone decided once is filled in, and an editor's file states all of that today.
        assert renamed.trained(settings, editor=editor, protocol=protocol) == settings


@pytest.mark.parametrize("editor", renamed.SETTINGS)
def test_an_earlier_name_belongs_to_an_editor_and_is_none_of_its_settings_today(editor: str) -> None:
    today = written(editor, "tiny-llava", "strict")
    earlier = renamed.SETTINGS[editor]
    assert not earlier.keys() & today.keys()
    assert set(earlier.values()) <= today.keys()
    names = {new: old for old, new in earlier.items()}
    once = {names.get(key, key): value for key, value in today.items()}
    assert renamed.current(once, editor=editor, protocol="strict") == today


@pytest.mark.parametrize("switches", PROTOCOLS.values(), ids=list(PROTOCOLS))
@pytest.mark.parametrize("editor", EDITORS)
def test_a_run_goes_on_in_the_folder_that_it_began(tmp_path: Path, editor: str, switches: Switches) -> None:
    settings = RunSettings(
        backbone="tiny-llava",
        editor=editor,
        benchmark="mini-entity",
        hop=1,
        switches=switches,
        settings=resolve(editor, "tiny-llava", {}, protocol=switches.protocol),
        metrics=(),
        generate=False,
        seed=0,
        dtype="float32",
        device_type="cpu",
        device="a processor",
        data_revision="d" * 64,
        weights_revision="w" * 64,
    )
    facts = RunFacts(records_used=3, dropped=(), command=("mmke", "run"), kinds=(T_REL,))
    write_run(tmp_path, settings, facts)
    check_same_settings(tmp_path, settings)
    write_run(tmp_path, settings, facts)
    found = read_run(tmp_path)
    assert found is not None
    assert found["settings"] == written(editor, "tiny-llava", switches.protocol)
