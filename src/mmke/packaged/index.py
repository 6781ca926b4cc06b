"""Where an index of packages keeps a wheel: its simple API, in JSON (PEP 691) or as a page of links (PEP 503)."""

import json
import os
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

from mmke.downloads import read_web_text
from mmke.errors import UserError
from mmke.packaged.packages import Package

PUBLIC = "https://pypi.org/simple"
VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
"""Name the index of uv and pip; mirrors are set so."""
ACCEPTED = "application/vnd.pypi.simple.v1+json, text/html;q=0.2"


def index_address(named: str | None) -> str:
    """Return the index to ask: the one that is named, that of uv or pip in the environment, or the public one.

    Raises:
        UserError: it is no address; the message says where it stands.
    """
    stated = {name: os.environ.get(name) for name in VARIABLES}
    found = [("--index", named), *stated.items(), ("", PUBLIC)]
    place, address = next((place, address) for place, address in found if address)
    if not address.startswith(("http://", "https://")):
        raise UserError(f"{place} {address}: this is no address of an index; give one such as {PUBLIC}")
    if "@" in urlsplit(address).netloc:  # a password, which no message may show
        raise UserError(
            f"{place}: the address has a user name or password, which is not sent; give an index that needs none, "
            f"such as --index {PUBLIC}"
        )
    return address


def wheel_address(package: Package, index: str) -> str:
    """Return the address of a package's wheel, which is found by its sha256.

    Raises:
        OSError: the index cannot be reached.
        UserError: it has no such wheel, or its answer is no list of files.
    """
    page = f"{index.rstrip('/')}/{package.name}/"
    text = read_web_text(page, accept=ACCEPTED)
    try:
        links = _links_of_json(text) if text.lstrip().startswith("{") else _links_of_page(text)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{page} answers with something else than a list of files; name another --index") from error
    if package.sha256 not in links:
        raise UserError(
            f"{page} has no wheel of {package.wheel} with the sha256 {package.sha256}; name another --index"
        )
    return urljoin(page, links[package.sha256])


def _links_of_json(text: str) -> dict[str, str]:
    found = json.loads(text)["files"]
    return {each["hashes"]["sha256"]: each["url"] for each in found if "sha256" in each["hashes"]}


def _links_of_page(text: str) -> dict[str, str]:
    parser = _Links()
    parser.feed(text)
    return parser.found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address, fragment = urldefrag(dict(attrs).get("href") or "")
        if tag == "a" and fragment.startswith("sha256="):
            self.found[fragment.removeprefix("sha256=")] = address
