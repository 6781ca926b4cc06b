"""Fetch the picture packages with the registries' ordinary clients and unpack them."""

import logging
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def packages(sources: Mapping[str, Any]) -> dict[str, bool]:
    """Return every package that the styles and facts name, with True where it is a Debian one."""
    found = {
        style["package"]: style.get("debian", False) for style in sources["styles"].values() if style["kind"] != "drawn"
    }
    return found | dict.fromkeys(sources["facts"].values(), False)


def folder_of(package: str, build: Path) -> Path:
    """Return where `package` lies unpacked."""
    return build / "unpacked" / package.replace("@", "_").replace("/", "_")


def fetch(package: str, build: Path, *, debian: bool) -> Path:
    """Download and unpack `package` unless that was done before; return its folder."""
    target = folder_of(package, build)
    if target.is_dir():
        return target
    incoming = build / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    log.info("fetching %s", package)
    command = ["apt-get", "download", package] if debian else ["npm", "pack", "--silent", package]
    subprocess.run(command, cwd=incoming, check=True, capture_output=True)
    archive = next(incoming.iterdir())
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if debian:
        subprocess.run(["dpkg", "-x", str(archive), str(partial)], check=True)
    else:
        _unpack_npm(archive, partial)
    partial.rename(target)
    shutil.rmtree(incoming)
    return target


def _unpack_npm(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            # npm archives hold one top folder, usually but not always called "package"
            member.name = member.name.partition("/")[2]
            if member.name and member.isfile():
                tar.extract(member, target, filter="data")
