"""What a worker says of itself, and whether it may compute for this process."""

import hashlib
import os
import platform
import socket
from functools import cache
from pathlib import Path

from mmke.results.provenance import processor_name, versions
from mmke.workers.protocols import Facts

PACKAGE = Path(__file__).parents[1]


@cache
def code_digest() -> str:
    """Return a digest of the package's source files: two processes with the same one compute the same rows."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")) + sorted(PACKAGE.rglob("*.toml")):
        digest.update(f"{file.relative_to(PACKAGE)}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def own_facts() -> Facts:
    """Return what this process says of itself; it imports torch."""
    import torch

    cards = tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return Facts(
        host=socket.gethostname() or platform.node(),
        pid=os.getpid(),
        code=code_digest(),
        versions=versions(),
        cards=cards,
        processor=processor_name(),
        threads=torch.get_num_threads(),
    )


def refusal(facts: Facts) -> str | None:
    """Say why a worker must not compute for this process: it is of another version; None where it may."""
    here = versions()
    others = [
        f"{name} {facts.versions.get(name)} there, {version} here"
        for name, version in here.items()
        if facts.versions.get(name) != version
    ]
    if not others and facts.code != code_digest():
        others = [f"the files of mmke are others there ({facts.code[:8]}) than here ({code_digest()[:8]})"]
    return f"{'; '.join(others)}; install the same versions on all machines" if others else None
