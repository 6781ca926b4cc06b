"""A checkpoint: tensors in files of any layout, under the names that they have in the module.

In: a layout, which is a list of sources (files, and rules that turn the names in them into the module's). Out: a
`Checkpoint`, which fills a module. Every tensor of the files is taken, or is listed as unused because the layout says
so, or is an error. Names, shapes and types are checked before anything large is read; then the tensors are read one at
a time.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mmke.backbones.weights.fitting import fitted
from mmke.backbones.weights.tensor_files import StoredTensor, open_file
from mmke.digests import sha256
from mmke.errors import UserError

Rules = Sequence[tuple[str, str | None]]
"""Pairs of a pattern for the whole name in the file and the name in the module; None: the module does not take it. The
first pattern that matches counts."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
TAKEN_TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
NAMED = 3
"""How many tensors of a kind an error names."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Weight files, and how the names in them become the module's.

    Attributes:
        files: all are read.
        rules: from names in the files to names in the module.
        prepare: changes the tensors under their own names first, for instance joins two into one.
    """

    files: Sequence[Path]
    rules: Rules
    prepare: Callable[[Mapping[str, StoredTensor]], Mapping[str, StoredTensor]] = dict


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights that were found, under the names that they have in the module.

    Attributes:
        layout: what was found, in one line.
        tokenizer: folder with the tokenizer's files.
        unused: tensors in the files that the model does not take, as `file: name`.
        bytes: size of the tensors that will be read.
        tensors: that will be read, by the module's names.
        surplus: tensors that no rule of the layout knows.
        files: all files, those of the tokenizer's vocabulary included.
    """

    layout: str
    tokenizer: Path
    unused: tuple[str, ...]
    bytes: int
    tensors: Mapping[str, StoredTensor]
    surplus: tuple[StoredTensor, ...]
    files: tuple[Path, ...]

    @cached_property
    def revision(self) -> str:
        """A digest of all bytes of the files in their order, without their names; slow the first time."""
        return f"sha256 {hashlib.sha256(''.join(map(sha256, self.files)).encode()).hexdigest()[:32]}"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the files lie."""
        return tuple(dict.fromkeys(file.parent for file in self.files))

    def check(self, module: nn.Module) -> None:
        """Compare names, shapes and types with those of a module's tensors, without reading the tensors.

        Raises:
            UserError: a tensor is missing, surplus, of a wrong shape or quantised; the message names them.
        """
        self._plan(module)

    def fill(
        self, module: nn.Module, *, dtype: Callable[[str], torch.dtype], device: Callable[[str], torch.device]
    ) -> None:
        """Read the tensors one at a time into a module that was built without weights.

        Args:
            module: all of its parameters are replaced, without gradient; its buffers are kept (see
                `loading.build_skeleton`).
            dtype: of a tensor of the module, by its name.
            device: for a tensor, by its name.

        Raises:
            UserError: as `check` does; or tensors that the module ties differ.
        """
        plan = self._plan(module)
        log.info("reading %.1f GB: %s", self.bytes / 1e9, self.layout)
        if self.unused:
            log.info("in the files and not taken by this model: %s", _few(self.unused))
        for names, stored in tqdm(plan, unit="tensor", desc="weights", disable=None, leave=False):
            # Always a copy: the model must not depend on a file that may change or be removed.
            tensor = torch.empty(stored.shape, dtype=dtype(names[0]), device=device(names[0]))
            # Moved first, then converted: a GPU converts faster than the processor.
            tensor.copy_(stored.read().to(tensor.device))
            if stored.note:
                log.info("%s", stored.note)
            self._check_tied(names, tensor)
            parameter = nn.Parameter(tensor, requires_grad=False)
            for name in names:
                _put(module, name, parameter)

    def _plan(self, module: nn.Module) -> list[tuple[tuple[str, ...], StoredTensor]]:
        """Return what to read for each tensor of a module, with all of its names; raise if something does not fit."""
        owned = _owned(module)
        plan, missing, misshapen, quantised = [], [], [], []
        for names, own in owned.items():
            stored = next((self.tensors[name] for name in names if name in self.tensors), None)
            if stored is None:
                missing.append(names[0])
            elif stored.dtype not in TAKEN_TYPES:
                quantised.append(f"{_place(stored)} is {stored.dtype}")
            elif (fit := fitted(names[0], stored, tuple(own.shape))) is None:
                misshapen.append(f"{_place(stored)} is {list(stored.shape)} where {list(own.shape)} is expected")
            else:
                plan.append((names, fit))
        known = {name for names in owned for name in names}
        surplus = [*self.surplus, *(stored for name, stored in self.tensors.items() if name not in known)]
        problems = [
            *_some("of another shape", misshapen),
            *_some("not floating-point", quantised),
            *_some("missing", missing),
            *_some("unknown to this model", [_place(stored) for stored in surplus]),
        ]
        if problems:
            raise UserError(
                f"the weights in {', '.join(map(str, self.folders))} ({self.layout}) are not this model's: "
                f"{'; '.join(problems)}; name a folder with its own, or download them again"
            )
        return plan

    def _check_tied(self, names: Sequence[str], tensor: Tensor) -> None:
        """Raise when the files hold different tensors for names that the module ties together."""
        first, *rest = [self.tensors[name] for name in names if name in self.tensors]
        for other in rest:
            own = other.read()[: len(tensor)].to(device=tensor.device, dtype=tensor.dtype)
            if not torch.equal(own, tensor):
                raise UserError(
                    f"{_place(first)} and {_place(other)} differ, and this model has one tensor for both; "
                    "name a folder with this model's own weights"
                )


def assemble(layout: str, tokenizer: Path, sources: Sequence[Source]) -> Checkpoint:
    """Return the checkpoint of some sources; a tensor of a later source replaces one of the same name before it.

    Raises:
        UserError: a file cannot be read, or the tokenizer is not there.
    """
    vocabulary = [tokenizer / name for name in TOKENIZER_FILES if (tokenizer / name).is_file()]
    if not vocabulary:
        raise UserError(f"{tokenizer} has no tokenizer (none of {', '.join(TOKENIZER_FILES)}); download it again")
    tensors: dict[str, StoredTensor] = {}
    unused: list[str] = []
    surplus: list[StoredTensor] = []
    for source in sources:
        own: dict[str, StoredTensor] = {}
        for file in source.files:
            contents = open_file(file)
            own.update(contents.tensors)
            unused += [f"{file.name}: {name}" for name in contents.others]
        for name, stored in source.prepare(own).items():
            target = _target(name, source.rules)
            if target is None:
                unused.append(_place(stored))
            elif not target:
                surplus.append(stored)
            else:
                unused += [_place(tensors[target])] if target in tensors else []
                tensors[target] = stored
    files = (*(file for source in sources for file in source.files), *vocabulary)
    size = sum(stored.bytes for stored in tensors.values())
    return Checkpoint(layout, tokenizer, tuple(unused), size, tensors, tuple(surplus), files)


def _target(name: str, rules: Rules) -> str | None:
    """Return the module's name for one in a file; None if it is not taken, an empty text if no rule knows it."""
    for pattern, target in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return target and match.expand(target)
    return ""


def _owned(module: nn.Module) -> dict[tuple[str, ...], Tensor]:
    """Return a module's tensors, each with all of its names (tied ones have several)."""
    own = module.state_dict(keep_vars=True)
    names: dict[int, list[str]] = {}
    for name, tensor in own.items():
        names.setdefault(id(tensor), []).append(name)
    return {tuple(each): own[each[0]] for each in names.values()}


def _put(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
    place, _, own = name.rpartition(".")
    setattr(module.get_submodule(place), own, parameter)


def _place(stored: StoredTensor) -> str:
    return f"{stored.file.parent.name}/{stored.file.name}: {stored.name}"


def _some(what: str, each: Sequence[str]) -> list[str]:
    return [f"{what}: {_few(each)}"] if each else []


def _few(each: Sequence[str]) -> str:
    return ", ".join(each[:NAMED]) + (f" and {len(each) - NAMED:,} more" if len(each) > NAMED else "")
