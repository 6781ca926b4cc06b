"""What contract tests work on: small records, small models and briefly trained networks, each made once a session."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve
from mmke.protocols import Backbone, Editor, Store, TrainableEditor
from mmke.testing.records import write_small_data
from mmke.types import STRICT, EditCase, Switches

TINY = ("tiny-llava", "tiny-minigpt4", "tiny-blip2")
"""Random models of four layers, in the architectures of the published benchmark."""
LIBRARY = ("hf:llava-onevision", "hf:qwen2.5-vl", "hf:internvl", "hf:idefics3")
"""Random models of four layers in other architectures, saved as a hub holds them and loaded as any `hf:` model."""
ARCHITECTURES = (*TINY, *LIBRARY)
LESSONS = 12
"""Steps that a trainable editor is trained for."""
HALF = torch.bfloat16
"""The lower precision that editors are tried in."""

Changes = Mapping[str, Mapping[str, object]]
"""Settings that differ from the shipped ones, by editor."""


class Kit:
    """Makes backbones, records and editors, and keeps what is slow to make.

    A backbone is shared by all tests of a session: every contract leaves it as it was, and checks that.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._backbones: dict[tuple[str, torch.dtype], ComposedBackbone] = {}
        self._trained: dict[tuple[object, ...], dict[str, Tensor]] = {}
        self.reading_store = MemoryStore()
        """What text encoders read, which is the same for every backbone."""

    @cached_property
    def data(self) -> Path:
        """A `--data` folder with four training and four evaluation records of each kind of knowledge."""
        return write_small_data(self._folder / "data")

    @cached_property
    def train(self) -> tuple[EditCase, ...]:
        """Training records of the user-specific kind."""
        return open_benchmark("mmke-user", data=self.data).load("train", hop=0, switches=STRICT).cases

    @cached_property
    def cases(self) -> tuple[EditCase, ...]:
        """Evaluation records of the user-specific kind, with their portability questions."""
        return open_benchmark("mmke-user", data=self.data).load("eval", hop=1, switches=STRICT).cases

    def folder(self, name: str) -> Path:
        """Return the folder of one of `LIBRARY`, which is written when it is first asked for."""
        # Imported here, because it imports the library's classes of all four models.
        from mmke.testing.folders import FOLDERS

        folder = self._folder / name.replace(":", "-")
        if not folder.exists():
            folder.mkdir()
            FOLDERS[name.removeprefix("hf:")](folder)
        return folder

    def backbone(self, name: str, dtype: torch.dtype = torch.float32) -> ComposedBackbone:
        """Load one of `ARCHITECTURES` or any registered backbone on the processor, once a session."""
        if (name, dtype) not in self._backbones:
            known = f"hf:{self.folder(name)}" if name in LIBRARY else name
            make = registry.factory("backbones", known)
            self._backbones[name, dtype] = make(name=known, dtype=dtype, device=torch.device("cpu"))
        return self._backbones[name, dtype]

    def editor(
        self, name: str, backbone: Backbone, *, changes: Changes | None = None, switches: Switches = STRICT
    ) -> Editor:
        """Make a registered editor; one that is trained is trained for `LESSONS` steps, once for each backbone."""
        editor = self._make(name, backbone, changes or {}, switches)
        if isinstance(editor, TrainableEditor):
            self._train(editor, backbone, (str(changes), switches))
        return editor

    def untrained(
        self, name: str, backbone: Backbone, *, changes: Changes | None = None, switches: Switches = STRICT
    ) -> TrainableEditor:
        """Make a registered editor with fresh networks.

        Raises:
            TypeError: it is not an editor that is trained.
        """
        editor = self._make(name, backbone, changes or {}, switches)
        if not isinstance(editor, TrainableEditor):
            raise TypeError(f"editor {name!r} is not trained; its contract is editor_contract alone")
        editor.prepare(backbone, self.train[:2], store=self.reading_store)
        return editor

    def _make(self, name: str, backbone: Backbone, changes: Changes, switches: Switches) -> Editor:
        settings = resolve(name, backbone.name, changes.get(name, {}), protocol=switches.protocol)
        made: Editor = registry.factory("editors", name)(settings, switches, train=self.train, seed=0)
        return made

    def _train(self, editor: TrainableEditor, backbone: Backbone, way: tuple[object, ...]) -> None:
        key = editor.name, backbone.name, backbone.dtype, *way
        if key not in self._trained:
            store = MemoryStore()
            editor.prepare(backbone, self.train[:2], store=store)
            teach(editor, backbone, self.train, LESSONS, store=store)
            assert editor.network is not None
            self._trained[key] = {name: tensor.clone() for name, tensor in editor.network.state_dict().items()}
        editor.load_state_dict(backbone, self._trained[key])


def teach(editor: TrainableEditor, backbone: Backbone, train: Sequence[EditCase], steps: int, *, store: Store) -> None:
    """Train on two records in turn."""
    optimizer, schedule = editor.optimizer()
    for step in range(steps):
        optimizer.zero_grad()
        losses = editor.losses(backbone, train[step % 2], store=store, learn=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if schedule is not None:
            schedule.step()
        editor.after_step()


SHARED = pytest.StashKey[Kit]()


def shared_kit(request: pytest.FixtureRequest) -> Kit:
    """Return the kit of this session of pytest."""
    stash = request.config.stash
    if SHARED not in stash:
        stash[SHARED] = Kit(request.getfixturevalue("tmp_path_factory").mktemp("mmke-kit"))
    return stash[SHARED]
