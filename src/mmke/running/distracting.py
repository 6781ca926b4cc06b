"""Distractors that come from elsewhere: edits that a stream makes first and never asks about.

In: `StreamSettings.distract_from`, a file of edits or what `--benchmark` takes. Out: cases without probes.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from mmke import registry
from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.plain import plain_edits
from mmke.errors import UserError
from mmke.running.stream_settings import StreamSettings
from mmke.types import PROTOCOLS, Edit, EditCase

DIGITS = 12
"""Of the digest of the edits, which is a part of the stream's name."""


def distractors(settings: StreamSettings, *, data: Path | None, protocol: str) -> list[EditCase]:
    """Return the first `distract` edits, or records, of `distract_from`, in the order of the file.

    Args:
        settings: of the stream.
        data: folder of benchmarks that are not embedded.
        protocol: whose switches records are read by.

    Raises:
        UserError: there is no such file or benchmark, it is broken, or it holds fewer.
    """
    name = str(settings.distract_from)
    found = _edits(name, data=data, protocol=protocol)
    if len(found) < settings.distract:
        raise UserError(
            f"--distract {settings.distract}: --distract-from {name} holds {len(found)} edits; take --distract "
            f"{len(found)}"
        )
    # Ids of their own: those of records of another benchmark may be those of records of the stream.
    return [
        EditCase(f"distractor-{number:05d}", edits, probes=())
        for number, edits in enumerate(found[: settings.distract])
    ]


def _edits(name: str, *, data: Path | None, protocol: str) -> list[tuple[Edit, ...]]:
    plain = None if name in registry.names("benchmarks") else plain_edits(Path(name).expanduser())
    if plain is not None:
        return [(edit,) for edit in plain]
    cases = open_benchmark(name, data=data).load("eval", hop=0, switches=PROTOCOLS[protocol]).cases
    return [case.edits for case in cases]


def digest_of(cases: Sequence[EditCase]) -> str:
    """Return the first digits of a digest of the edits of some cases, with their pictures."""
    told = [
        [edit.query.text, edit.query.image.sha256 if edit.query.image else None, edit.target, edit.original]
        for case in cases
        for edit in case.edits
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:DIGITS]
