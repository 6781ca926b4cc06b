"""Pictures of Commons: `prop=imageinfo` of the MediaWiki action API (mediawiki.org/wiki/API:Imageinfo)."""

import html.parser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WIDTH = 960
"""Pixels of the copies that are asked for: one of the service's standard widths, under what a project keeps."""

ASKED = {
    "action": "query",
    "format": "json",
    "formatversion": "2",
    "redirects": "1",
    "prop": "imageinfo",
    "iiprop": "url|size|mime|sha1|extmetadata",
    "iiurlwidth": str(WIDTH),
    "iiextmetadatalanguage": "en",
    "iiextmetadatafilter": "LicenseShortName|LicenseUrl|Artist|Credit",
}

_MIMES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/svg+xml")


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A picture on Commons: its page, the address of the copy, and what is stated of it."""

    title: str
    page: str
    url: str
    sha1: str
    author: str
    licence: str
    licence_url: str


def read_pages(reply: Mapping[str, Any]) -> dict[str, MediaFile]:
    """Return the pictures of a reply by their titles, "File:…"; those that are missing or no pictures are left out.

    A file that was renamed since is there under its old title too.
    """
    query = reply.get("query", {})
    read = (_file(page) for page in query.get("pages", []) if page.get("imageinfo"))
    found = {file.title: file for file in read if file is not None}
    renamed = {each["from"]: each["to"] for key in ("redirects", "normalized") for each in query.get(key, [])}
    for old, next_ in renamed.items():
        new = renamed.get(next_, next_)  # a title is normalised first, and redirected then
        if new in found:
            found[old] = found[new]
    return found


def title(name: str) -> str:
    """Return the title of a file's page by its name: blanks, and the first letter a capital, as MediaWiki writes it."""
    plain = name.replace("_", " ").strip()
    return f"File:{plain[:1].upper()}{plain[1:]}"


def without_markup(text: str) -> str:
    """Return HTML as plain text in one line."""
    parser = _Text()
    parser.feed(text)
    parser.close()
    return " ".join("".join(parser.parts).split())


def _file(page: Mapping[str, Any]) -> MediaFile | None:
    info = page["imageinfo"][0]
    if info.get("mime") not in _MIMES or "url" not in info:
        return None
    stated = {key: str(each.get("value", "")) for key, each in (info.get("extmetadata") or {}).items()}
    return MediaFile(
        title=page["title"],
        page=info.get("descriptionurl", info["url"]),
        url=info.get("thumburl") or info["url"],
        sha1=info.get("sha1", ""),
        author=without_markup(stated.get("Artist", "")) or without_markup(stated.get("Credit", "")),
        licence=without_markup(stated.get("LicenseShortName", "")),
        licence_url=stated.get("LicenseUrl", ""),
    )


class _Text(html.parser.HTMLParser):
    """Collects the text between tags, without scripts and styles, and without what a page would hide."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        hidden = "display:none" in (dict(attrs).get("style") or "").replace(" ", "")
        if self._skipped or hidden or tag in ("script", "style"):
            if tag not in ("br", "img", "hr", "wbr"):  # which have no end
                self._skipped.append(tag)
        elif tag in ("br", "p", "div", "li", "td", "tr"):
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._skipped:
            while self._skipped.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.parts.append(data)
