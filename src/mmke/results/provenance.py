"""Where a figure comes from: versions, the processor, and the commit of the project's checkout, if it runs from one."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("mmke", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit; `dirty` when the package's files differ from it."""

    sha: str
    dirty: bool


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages at work, without importing them; None: not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def project_commit(folder: Path = Path(__file__).parents[1]) -> Commit | None:
    """Return the commit that the package in `folder` was checked out from.

    None where it is installed elsewhere, where git does not track it (an environment inside a foreign repository), or
    where there is no git.
    """
    # `ls-files` names tracked files only, so that a repository around a virtual environment is not taken for ours.
    if not _git(folder, ["ls-files", "--", "."]):
        return None
    sha = _git(folder, ["rev-parse", "HEAD"])
    changes = _git(folder, ["status", "--porcelain", "--", "."])
    return None if not sha or changes is None else Commit(sha=sha, dirty=bool(changes))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, arguments: Sequence[str]) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    # Inside a git hook these variables point to the hook's repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(  # noqa: S603
        [git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False, env=clean
    )
    return done.stdout.strip() if done.returncode == 0 else None


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the model of the processor: two models do not add up numbers in the same order."""
    # Python's own `platform.processor` says "x86_64" on Linux, of every one.
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else f"{platform.processor() or platform.machine()} CPU, {sys.platform}"
