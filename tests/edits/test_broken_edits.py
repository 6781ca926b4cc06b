"""A folder that came from somebody else: what is wrong with it is told in one line, and nothing in it is executed."""

import json
import pickle
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import mmke
from mmke.edits.record import LARGEST_RECORD, RECORD, TENSORS
from mmke.results.saved_session import file_sha256
from mmke.testing.records import draw_picture

QUERY = "Which flag?"
RUN = "this code ran"


@pytest.fixture(scope="module")
def backbone() -> Any:
    return mmke.load_backbone("tiny-llava")


@pytest.fixture(scope="module")
def saved(backbone: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("edits")
    draw_picture(place / "flag.png", "red")
    editor = mmke.load_editor("ft-llm", backbone="tiny-llava", steps=1)
    with editor.open(backbone, mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query(QUERY, mmke.picture(place / "flag.png")), "Peru")])
        session.save(place / "edit", embed_pictures=True)
    return place / "edit"


@pytest.fixture
def edit(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    copy = tmp_path / "edit"
    (copy / "pictures").mkdir(parents=True)
    for file in saved.rglob("*.*"):
        (copy / file.relative_to(saved)).write_bytes(file.read_bytes())
    return copy


def change(folder: Path, key: str, value: object) -> None:
    """Change one field of the record; `a.b` is a field in a field."""
    plain = json.loads((folder / RECORD).read_text())
    *outer, last = key.split(".")
    inside = plain
    for each in outer:
        inside = inside[each]
    inside[last] = value
    (folder / RECORD).write_text(json.dumps(plain))


def replace_tensors(folder: Path, change_them: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors, and state their new digest."""
    tensors = load_file(folder / TENSORS)
    change_them(tensors)
    save_file(tensors, folder / TENSORS)
    change(folder, "tensors", file_sha256(folder / TENSORS))


def write_pickle(folder: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return (pytest.fail, (RUN,))

    (folder / TENSORS).write_bytes(pickle.dumps(Runs()))
    change(folder, "tensors", file_sha256(folder / TENSORS))


def put_a_link(folder: Path) -> None:
    (folder / "elsewhere").write_bytes((folder / TENSORS).read_bytes())
    (folder / TENSORS).unlink()
    (folder / TENSORS).symlink_to(folder / "elsewhere")


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def the_picture(folder: Path) -> Path:
    return next((folder / "pictures").iterdir())


def nested(depth: int) -> object:
    return [] if depth == 0 else [nested(depth - 1)]


def spoil(folder: Path, name: str, tensor: torch.Tensor) -> None:
    replace_tensors(folder, lambda tensors: tensors.update({name: tensor}))


FIRST = "model.language_model.layers.2.mlp.down_proj.weight"

BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing there": (lambda f: (f / RECORD).unlink(), "is no edit: it has no edit.json"),
    "no json": (lambda f: (f / RECORD).write_text("{"), "this edit is broken: not JSON"),
    "deep json": (lambda f: (f / RECORD).write_text('{"a":' * 100_000), "this edit is broken: not JSON"),
    "a list": (lambda f: (f / RECORD).write_text("[]"), "a JSON object was expected"),
    "huge": (lambda f: _sparse(f / RECORD, LARGEST_RECORD + 1), "bytes, and at most"),
    "nan": (lambda f: (f / RECORD).write_text('{"format": NaN}'), "NaN is no number"),
    "another format": (lambda f: change(f, "format", 2), "has the format 2, and this version of mmke reads 1"),
    "another type": (lambda f: change(f, "by.seed", "0"), "by.seed: "),
    "a surplus field": (lambda f: change(f, "by.code", "import os"), r"by.code: Extra inputs are not permitted"),
    "an unknown editor": (
        lambda f: change(f, "by.editor", "ft-lm"),
        "by this version of mmke: unknown editor",
    ),
    "a module as editor": (lambda f: change(f, "by.editor", "os:system"), "by this version of mmke: unknown editor"),
    "an unknown setting": (lambda f: change(f, "by.settings.steeps", 3), "unknown key 'steeps'.*edit.json"),
    "a wrong setting": (
        lambda f: change(f, "by.settings.steps", "3"),
        r"steps = '3' is no int \(.*edit.json\); make the edit again",
    ),
    "an unknown protocol": (lambda f: change(f, "by.protocol", "../x"), "unknown protocol '../x'"),
    "other weights": (
        lambda f: change(f, "on.weights_revision", "sha256 0"),
        "with the weights 'sha",
    ),
    "another model": (lambda f: change(f, "on.backbone", "smol-llava"), "was made on smol-llava"),
    "cut off": (lambda f: cut_off(f / TENSORS), "it has the sha256 .*, and edit.json states"),
    "cut off, with its digest": (
        lambda f: (cut_off(f / TENSORS), change(f, "tensors", file_sha256(f / TENSORS))),
        "tensors.safetensors: this edit is broken",
    ),
    "a pickle": (write_pickle, "tensors.safetensors: this edit is broken"),
    "a link": (put_a_link, "there is no such ordinary file"),
    "a surplus tensor": (lambda f: spoil(f, "more", torch.zeros(2)), "'more' is missing, surplus or of another shape"),
    "another shape": (lambda f: spoil(f, FIRST, torch.zeros(2)), "of another shape"),
    "another type of number": (lambda f: spoil(f, "x", torch.zeros(2, dtype=torch.int8)), "surplus"),
    "a picture's name": (lambda f: change(f, "pictures", {"0" * 64: "../../flag.png"}), "pictures.*pattern"),
    "a picture of another name": (lambda f: change(f, "pictures", {"0" * 64: "1" * 64 + ".png"}), "by its own digest"),
    "a picture that is gone": (lambda f: the_picture(f).unlink(), "there is no such ordinary file"),
    "another picture": (lambda f: the_picture(f).write_bytes(b"x"), "another sha256 than its name says"),
    "whole numbers": (
        lambda f: replace_tensors(f, lambda t: t.update({name: each.int() for name, each in t.items()})),
        "which are no weights",
    ),
    "deep facts": (lambda f: change(f, "facts.x", nested(60)), "nested more than 50 deep"),
    "a steering name": (lambda f: change(f, "on.backbone", "\x1b[2J"), r"made on \\x1b\[2J with"),
    "a long value": (lambda f: change(f, "by.settings.steps", "3" * 10_000), "by this version of mmke: settings"),
    "a path": (lambda f: change(f, "facts.path", "/etc/passwd"), "the facts name a path"),
    "facts of another editor": (lambda f: change(f, "facts.editor", "ke"), "a saved session of editor 'ke'"),
    "other edits within": (lambda f: change(f, "facts.edits", []), "own edits are not those that it lists"),
}


def _sparse(file: Path, size: int) -> None:
    with file.open("wb") as opened:
        opened.truncate(size)


def test_what_was_saved_is_loaded(backbone: Any, saved: Path, edit: Path) -> None:
    with mmke.load_edit(edit, backbone) as session:
        assert [edit.target for batch in session.batches for edit in batch] == ["Peru"]
        found, kept = session.state().tensors, load_file(saved / TENSORS)
        assert found.keys() == kept.keys()
        assert all(torch.equal(found[name], kept[name]) for name in kept)


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_refused_in_one_line(case: str, backbone: Any, edit: Path) -> None:
    breaks, told = BROKEN[case]
    breaks(edit)
    with pytest.raises(mmke.UserError, match=told) as error, mmke.load_edit(edit, backbone):
        pass
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1_000


SMALL: dict[str, dict[str, Any]] = {
    "ike-random": {"demonstrations": 1},
    "lora": {"steps": 1},
    "grace": {"steps": 1},
    "wise": {"steps": 1},
    "gated-note": {"steps": 1, "background": 4, "dimensions": 2},
}


def forged(tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return a tensor in other shapes and types."""
    changed = {"narrow": tensor[..., :-1], "short": tensor[:-1], "turned": tensor.unsqueeze(0)}
    changed["other type"] = tensor.half() if tensor.is_floating_point() else tensor.int()
    if not tensor.is_floating_point():
        changed["too large"] = tensor + 100
    return changed


@pytest.mark.parametrize(
    ("editor", "model"),
    [
        *((editor, "tiny-llava") for editor in SMALL),
        *(pytest.param(editor, "smol-llava", marks=pytest.mark.slow) for editor in ("ike", "serac", "mscke")),
    ],
)
def test_a_forged_tensor_is_refused_or_does_no_harm(editor: str, model: str, tmp_path: Path) -> None:
    backbone = mmke.load_backbone(model)
    train = mmke.open_benchmark("mini-user").load("train", hop=0, switches=mmke.STRICT).cases[:4]
    draw_picture(tmp_path / "flag.png", "red")
    image = mmke.picture(tmp_path / "flag.png")
    made = mmke.load_editor(editor, backbone=backbone, train=train, **SMALL.get(editor, {}))
    with made.open(backbone, mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query(QUERY, image), "Peru"), mmke.Edit(mmke.Query("Who?", image), "Ruth.")])
        session.save(tmp_path / "own")
    folder, refused = tmp_path / "forged", list[str]()
    for name, tensor in load_file(tmp_path / "own" / TENSORS).items():
        for other in forged(tensor).values():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(tmp_path / "own", folder)
            spoil(folder, name, other.contiguous())
            with ExitStack() as opened:
                try:
                    session = opened.enter_context(mmke.load_edit(folder, backbone))
                except mmke.UserError as error:
                    refused.append(str(error))
                    continue
                for query in (mmke.Query("Which flag is this?", image), mmke.Query("Who is Ruth?")):
                    mmke.say(session, query.text, query.image, max_new_tokens=2)
    assert refused
    assert not [line for line in refused if "\n" in line]
    assert all("again" in line or "open the session with" in line for line in refused)
