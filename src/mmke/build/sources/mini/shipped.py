"""The files that come with mmke: things, pools and pictures, each picture with its origin and licence.

`recipes/building` makes them. Pictures are named by their path in the package `mmke`: those of the benchmark `mini`,
and `pictures/` beside this module. The `manifest.json` of each folder says which drawing a picture shows.
"""

from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable

from pydantic import BaseModel, TypeAdapter

from mmke.build.protocols import FoundPicture
from mmke.build.settings import Model

FOLDERS = ("benchmarks/mini/data_image", "build/sources/mini/pictures")
LICENCE_URLS: Mapping[str, str] = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "MIT": "https://opensource.org/license/mit",
    "public domain": "",
}


class _Part(BaseModel):
    style: str
    file: str
    licence: str
    artist: str = ""


class _Style(BaseModel):
    package: str
    version: str
    author: str


class _Manifest(BaseModel):
    styles: Mapping[str, _Style]
    pictures: Mapping[str, tuple[_Part, ...]]


class Pictures:
    """Every picture that comes with mmke, by its path in the package."""

    def __init__(self) -> None:
        """Read the manifests."""
        package = files("mmke")
        self._found: dict[str, FoundPicture] = {}
        for folder in FOLDERS:
            manifest = _Manifest.model_validate_json((package / folder / "manifest.json").read_bytes())
            for path, parts in manifest.pictures.items():
                # Two parts: a picture of two things side by side, which shows no thing by itself.
                if len(parts) == 1:
                    name = f"{folder}/{path}"
                    self._found[name] = _picture(package / name, parts[0], manifest.styles[parts[0].style])

    def find(self, path: str) -> FoundPicture:
        """Return the picture at a path in the package.

        Raises:
            KeyError: no manifest names it.
        """
        return self._found[path]


def _picture(file: Traversable, part: _Part, style: _Style) -> FoundPicture:
    return FoundPicture(
        origin=" ".join(filter(None, (style.package, style.version))) + f": {part.file}",
        author=f"{part.artist}, {style.author}" if part.artist else style.author,
        licence=part.licence,
        licence_url=LICENCE_URLS.get(part.licence, ""),
        read=partial(_read, file),
    )


def _read(file: Traversable) -> bytes:
    return file.read_bytes()


def read_lines(name: str, model: type[Model]) -> list[Model]:
    """Return the lines of a file beside this module, such as `things/entity.jsonl`."""
    lines = (files("mmke.build.sources.mini") / name).read_bytes().splitlines()
    return TypeAdapter(list[model]).validate_json(b"[" + b",".join(lines) + b"]")  # type: ignore[valid-type]
