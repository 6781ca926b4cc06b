"""A stand-in for the services of Wikidata and Commons, on this machine.

The replies were written by hand after the services' documentation: SPARQL 1.1 JSON results, Wikibase's JSON format
(`wbgetentities`), and the action API's `imageinfo`, `categorymembers`, `maxlag` and errors (formatversion 2).
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from own_folder import content, picture

ARTIST = (
    '<a href="//commons.wikimedia.org/wiki/User:Ann" title="User:Ann">Ann&nbsp;Painter</a> '
    '<span style="display: none">hidden</span>'
)


def item(id_: str) -> dict[str, Any]:
    """Return a snak's value that is an item."""
    return {"value": {"entity-type": "item", "numeric-id": int(id_[1:]), "id": id_}, "type": "wikibase-entityid"}


def text(value: str) -> dict[str, Any]:
    """Return a snak's value that is a text."""
    return {"value": value, "type": "string"}


def year(value: str, precision: int = 11) -> dict[str, Any]:
    """Return a snak's value that is a date."""
    return {
        "value": {
            "time": value,
            "timezone": 0,
            "before": 0,
            "after": 0,
            "precision": precision,
            "calendarmodel": "http://www.wikidata.org/entity/Q1985727",
        },
        "type": "time",
    }


def amount(value: str, unit: str) -> dict[str, Any]:
    """Return a snak's value that is a quantity."""
    return {"value": {"amount": value, "unit": unit}, "type": "quantity"}


def statement(
    property_: str, datatype: str, datavalue: Mapping[str, Any] | None, rank: str = "normal", **more: Any
) -> Any:
    """Return a statement; without a value it says that there is none known."""
    snak = {"snaktype": "value" if datavalue else "somevalue", "property": property_, "datatype": datatype}
    if datavalue:
        snak["datavalue"] = datavalue  # type: ignore[assignment]
    return {"mainsnak": snak, "type": "statement", "id": f"Q1${property_}", "rank": rank, **more}


def entity(id_: str, label: str | None, *statements: Any, aliases: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return an item."""
    claims: dict[str, list[Any]] = {}
    for each in statements:
        claims.setdefault(each["mainsnak"]["property"], []).append(each)
    return {
        "type": "item",
        "id": id_,
        "labels": {"en": {"language": "en", "value": label}} if label else {},
        "aliases": {"en": [{"language": "en", "value": each} for each in aliases]} if aliases else {},
        "claims": claims,
    }


def bridge(
    id_: str, name: str, country: str, opened: str, *pictures: str, more: tuple[Any, ...] = ()
) -> dict[str, Any]:
    """Return a bridge with its country, the year in which it was opened, pictures, and a category of its name."""
    images = [statement("P18", "commonsMedia", text(each)) for each in pictures]
    return entity(
        id_,
        name,
        statement("P17", "wikibase-item", item(country)),
        statement("P571", "time", year(f"+{opened}-05-27T00:00:00Z")),
        statement("P373", "string", text(name)),
        *images,
        *more,
        aliases=(f"the {name}",),
    )


@dataclass
class Wiki:
    """What the services have, what they were asked, and what they answer first.

    Attributes:
        classes: items by class.
        entities: items by id.
        categories: names of files by category.
        licences: stated licence by name of file; others have CC BY-SA 4.0, None states nothing.
        artists: stated artist by name of file; others have `ARTIST`.
        contents: content by name of file; others are pictures that follow from the name.
        first: what is done with the next requests of a kind ("query", "entities", "media", "file") in place of an
            answer: a status, its headers and its body; or "cut", which ends the connection in the middle.
        renamed: titles of files by the titles that they had.
        always: the same for files by the name in their address, each time.
        asked: each request as its kind and its parameters.
        agents: the User-Agent of each.
    """

    classes: dict[str, list[str]] = field(default_factory=dict)
    entities: dict[str, dict[str, Any]] = field(default_factory=dict)
    categories: dict[str, list[str]] = field(default_factory=dict)
    licences: dict[str, str | None] = field(default_factory=dict)
    artists: dict[str, str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    first: dict[str, list[tuple[int, dict[str, str], bytes] | str]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    always: dict[str, tuple[int, dict[str, str], bytes] | str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    address: str = ""

    def query(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Answer the query service."""
        class_ = next(each for each in self.classes if f"wd:{each} " in params["query"])
        bindings = [
            {
                "item": {"type": "uri", "value": f"http://www.wikidata.org/entity/{each}"},
                "links": {"datatype": "http://www.w3.org/2001/XMLSchema#integer", "type": "literal", "value": "9"},
            }
            for each in self.classes[class_]
        ]
        return {"head": {"vars": ["item", "links"]}, "results": {"bindings": bindings}}

    def wbgetentities(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Answer `action=wbgetentities`."""
        ids = params["ids"].split("|")
        assert len(ids) <= 50
        found = {each: self.entities.get(each, {"id": each, "missing": ""}) for each in ids}
        return {"entities": found, "success": 1}

    def media(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Answer `action=query&prop=imageinfo`, of titles or of the members of a category."""
        if params.get("generator") == "categorymembers":
            names = self.categories.get(params["gcmtitle"].removeprefix("Category:"), [])
            titles = [f"File:{name}" for name in names]
            if not titles:
                return {"batchcomplete": True}
        else:
            titles = params["titles"].split("|")
        assert len(titles) <= 50
        redirects = [{"from": each, "to": self.renamed[each]} for each in titles if each in self.renamed]
        now = dict.fromkeys(self.renamed.get(each, each) for each in titles)
        pages = [self._page(n, each) for n, each in enumerate(now)]
        return {"batchcomplete": True, "query": {"pages": pages, **({"redirects": redirects} if redirects else {})}}

    def _page(self, n: int, title: str) -> dict[str, Any]:
        name = title.removeprefix("File:")
        if "missing" in name:
            return {"ns": 6, "title": title, "missing": True, "imagerepository": ""}
        stated = {
            "Artist": {"value": self.artists.get(name, ARTIST), "source": "commons-desc-page"},
            "LicenseShortName": {"value": self.licences.get(name, "CC BY-SA 4.0"), "source": "commons-desc-page"},
            "LicenseUrl": {"value": "https://creativecommons.org/licenses/by-sa/4.0", "source": "commons-desc-page"},
        }
        info = {
            "size": 123456,
            "width": 4000,
            "height": 3000,
            "thumburl": f"{self.address}/file/960px-{name.replace(' ', '_')}",
            "thumbwidth": 960,
            "thumbheight": 720,
            "url": f"{self.address}/file/{name.replace(' ', '_')}",
            "descriptionurl": f"https://commons.wikimedia.org/wiki/{title.replace(' ', '_')}",
            "mime": "application/ogg" if name.endswith(".ogg") else "image/jpeg",
            "sha1": f"{n:040d}",
            # PHP writes an object without entries as a list.
            "extmetadata": [] if self.licences.get(name, "") is None else stated,
        }
        return {"pageid": n + 1, "ns": 6, "title": title, "imagerepository": "local", "imageinfo": [info]}

    def file(self, name: str) -> bytes:
        """Return the content of a file."""
        plain = name.removeprefix("960px-").replace("_", " ")
        return self.contents.get(plain) or content(picture(plain), "JPEG")


class _Handler(BaseHTTPRequestHandler):
    """Answers in the name of the server's `wiki`."""

    server: "_Server"

    def do_GET(self) -> None:
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self, query: str) -> None:
        wiki = self.server.wiki
        _, kind, *rest = urlsplit(self.path).path.split("/")
        params = {"name": rest[0]} if rest else {key: values[0] for key, values in parse_qs(query).items()}
        wiki.asked.append((kind, params))
        wiki.agents.add(self.headers["User-Agent"])
        if wiki.first.get(kind):
            self._instead(wiki.first[kind].pop(0))
        elif params.get("name") in wiki.always:
            self._instead(wiki.always[params["name"]])
        elif kind == "file":
            self._send(200, {"Content-Type": "image/jpeg"}, wiki.file(params["name"]))
        else:
            answer: Callable[[Mapping[str, str]], Any] = {
                "query": wiki.query,
                "entities": wiki.wbgetentities,
                "media": wiki.media,
            }[kind]
            self._send(200, {"Content-Type": "application/json"}, json.dumps(answer(params)).encode())

    def _instead(self, how: tuple[int, dict[str, str], bytes] | str) -> None:
        if isinstance(how, str):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"the first bytes")
            self.close_connection = True
        else:
            self._send(*how)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    wiki: Wiki


@contextmanager
def served(wiki: Wiki) -> Iterator[str]:
    """Serve it, and yield the address."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.wiki = wiki
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    wiki.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield wiki.address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def bridges() -> Wiki:
    """Return two countries with a capital, and three bridges in them with two pictures each and one in a category."""
    wiki = Wiki()
    wiki.classes["Q12280"] = ["Q1", "Q2", "Q3"]
    for id_, name, country, opened in (
        ("Q1", "Red Bridge", "Q30", "1937"),
        ("Q2", "Iron Bridge", "Q31", "1779"),
        ("Q3", "Long Bridge", "Q30", "1894"),
    ):
        wiki.entities[id_] = bridge(id_, name, country, opened, f"{name} 1.jpg", f"{name}_2.jpg")
        wiki.categories[name] = [f"{name} 3.jpg", f"{name} 1.jpg", f"{name} song.ogg"]
    wiki.entities["Q30"] = entity("Q30", "Aland", statement("P36", "wikibase-item", item("Q61")))
    wiki.entities["Q31"] = entity("Q31", "Boria", statement("P36", "wikibase-item", item("Q62")))
    wiki.entities["Q61"], wiki.entities["Q62"] = entity("Q61", "Alva"), entity("Q62", "Borsk")
    return wiki
