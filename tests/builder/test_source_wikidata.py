"""The source `wikidata` against a local server: things, facts and pictures, politeness, errors, and going on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_folder import change, collected, everything
from wiki_server import Wiki, amount, bridges, entity, item, served, statement, text, year

from mmke.build.new import new
from mmke.build.project import open_project
from mmke.build.sources.wikidata import source as wikidata
from mmke.build.sources.wikidata.media import without_markup
from mmke.build.sources.wikidata.web import Clock, _seconds
from mmke.errors import UnreachableError, UserError


class Time:
    """A clock that is only moved by those who sleep."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(wikidata, "Clock", lambda: made.clock)
    return made


@pytest.fixture
def wiki() -> Iterator[Wiki]:
    made = bridges()
    with served(made):
        yield made


def project(folder: Path, wiki: Wiki, *, kind: str = "entity") -> Path:
    """Make a project of bridges, whose services are the stand-in."""
    new(folder, kind=kind, source="wikidata", name="bridges")
    change(folder, "classes = {}", 'classes = { bridge = "Q12280" }')
    change(
        folder,
        '{ country = "P17", inception = "P571" }',
        '{ country = "P17", inception = "P571", capital = "P36", length = "P2043" }',
    )
    change(folder, 'contact = ""', 'contact = "ann@university.example"')
    change(folder, "https://query.wikidata.org/sparql", f"{wiki.address}/query")
    change(folder, "https://www.wikidata.org/w/api.php", f"{wiki.address}/entities")
    change(folder, "https://commons.wikimedia.org/w/api.php", f"{wiki.address}/media")
    return folder


def test_things_come_with_facts_further_facts_and_pictures(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    outcome = collected(project(tmp_path, wiki))
    assert outcome.refused == {}
    with open_project(tmp_path, write=False) as opened:
        thing = opened.things.get("bridge/Q1").content
        pictures = [entry.content for entry in opened.pictures if entry.content.thing == thing.id]
    assert (thing.name, thing.aliases, thing.type) == ("Red Bridge", ("the Red Bridge",), "bridge")
    assert [(fact.relation, fact.value) for fact in thing.facts] == [("country", "Aland"), ("inception", "1937")]
    assert [(fact.relation, fact.value) for fact in thing.facts[0].further] == [("capital", "Alva")]
    assert thing.facts[0].source == "http://www.wikidata.org/entity/Q1 P17 Q30"
    assert [each.origin.rpartition("/")[2] for each in pictures] == [f"File:Red_Bridge_{n}.jpg" for n in (1, 2, 3)]
    assert {(each.author, each.licence) for each in pictures} == {("Ann Painter", "CC-BY-SA-4.0")}


def test_requests_are_polite(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    collected(project(tmp_path, wiki))
    assert wiki.agents == {"mmke/0.1.0 (ann@university.example)"}
    assert all(params["maxlag"] == "5" for kind, params in wiki.asked if kind in ("entities", "media"))
    kinds = [kind for kind, _ in wiki.asked]
    # One query, three depths of items, the pictures of all at once, then each category and each file once.
    assert [kinds.count(kind) for kind in ("query", "entities", "media", "file")] == [1, 3, 4, 9]
    assert time.slept == [0.0] + [1.0] * (len(kinds) - 1)


def test_a_second_run_asks_nothing_and_a_new_project_gives_the_same_bytes(
    tmp_path: Path, wiki: Wiki, time: Time
) -> None:
    one, other = project(tmp_path / "one", wiki), project(tmp_path / "other", wiki)
    collected(one)
    before, wiki.asked = everything(one), []
    collected(one)
    change(one, "short_side = 224", "short_side = 200")  # all pictures are read again, from the kept replies
    collected(one)
    assert wiki.asked == []
    change(one, "short_side = 200", "short_side = 224")
    collected(other)
    assert everything(other) == before


@pytest.mark.parametrize(
    ("kind", "instead", "wait"),
    [
        ("query", (429, {"Retry-After": "17"}, b"Too Many Requests"), 17.0),
        ("entities", (503, {"Retry-After": "31"}, b"<html>busy</html>"), 31.0),
        ("media", (502, {}, b""), 5.0),
        ("entities", (200, {}, b"<html>no JSON"), 5.0),
        ("media", "cut", 5.0),
        ("file", "cut", 5.0),
    ],
)
def test_a_busy_service_is_asked_again_after_the_wait_that_it_names(
    tmp_path: Path, wiki: Wiki, time: Time, kind: str, instead: object, wait: float
) -> None:
    wiki.first[kind] = [instead]
    assert collected(project(tmp_path, wiki)).refused == {}
    assert [each for each in time.slept if each > 1] == [wait]


def test_a_lagging_service_is_left_alone_for_a_while(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    lag = {"error": {"code": "maxlag", "info": "Waiting for db1: 7.5 seconds lagged", "host": "db1", "lag": 7.5}}
    wiki.first["media"] = [(200, {"Retry-After": "5"}, json.dumps(lag).encode()), (200, {}, json.dumps(lag).encode())]
    assert collected(project(tmp_path, wiki)).refused == {}
    assert [each for each in time.slept if each > 1] == [5.0, 10.0]


def test_a_service_that_stays_down_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, wiki: Wiki, time: Time
) -> None:
    undisturbed = project(tmp_path / "undisturbed", wiki)
    collected(undisturbed)
    folder = project(tmp_path / "disturbed", wiki)
    wiki.first["file"] = [(503, {}, b"")] * 5
    with pytest.raises(UnreachableError, match=r"127.0.0.1:\d+ answers 503 Service Unavailable; .* kept: run this"):
        collected(folder)
    assert [each for each in time.slept if each > 1] == [5.0, 10.0, 20.0, 40.0]
    collected(folder)
    assert everything(folder) == everything(undisturbed)


def test_a_service_that_asks_for_a_long_wait_is_not_waited_for(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    wiki.first["query"] = [(429, {"Retry-After": "3600"}, b"")]
    with pytest.raises(UnreachableError, match="429 Too Many Requests, and asks for a wait of 3600 seconds"):
        collected(project(tmp_path, wiki))


def test_without_a_network_one_line_says_what_is_missing(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    folder = project(tmp_path, wiki)
    file = folder / "build.toml"
    file.write_text(file.read_text().replace(wiki.address, "http://127.0.0.1:9"))  # nothing listens there
    with pytest.raises(UnreachableError, match=r"127.0.0.1:9 cannot be reached \(.*\); .* needs the network") as told:
        collected(folder)
    assert "\n" not in str(told.value)
    assert [each for each in time.slept if each > 1] == [5.0]


def test_pictures_that_cannot_be_used_are_listed_with_their_reason(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    wiki.entities["Q1"]["claims"]["P18"] += [
        statement("P18", "commonsMedia", text(f"{name}.jpg"))
        for name in ("unlicensed", "non-commercial", "broken", "gone", "failing", "missing")
    ]
    folder = project(tmp_path, wiki)
    change(folder, "pictures = 6", "pictures = 20")
    wiki.licences = {"Unlicensed.jpg": None, "Non-commercial.jpg": "CC BY-NC 2.0"}
    wiki.contents = {"Broken.jpg": b"no picture"}
    wiki.always = {"960px-Gone.jpg": (404, {}, b"<html>"), "960px-Failing.jpg": (500, {}, b"")}
    collected(folder)
    with open_project(folder, write=False) as opened:
        refused = {
            entry.content.origin.rpartition("File:")[2]: entry.content.refused
            for entry in opened.pictures
            if entry.content.refused is not None
        }
    assert refused["Unlicensed.jpg"] == "no licence is stated"
    assert refused["Non-commercial.jpg"] == "its licence CC-BY-NC-2.0 forbids sale"
    assert refused["Broken.jpg"] == "cannot identify image file"
    assert refused["Gone.jpg"] == f"{wiki.address}/file/960px-Gone.jpg: 404 Not Found"
    assert refused["Failing.jpg"] == f"{wiki.address}/file/960px-Failing.jpg answers 500 Internal Server Error, 5 times"
    assert len(refused) == 5  # the missing one has no page that could be named


def test_a_file_that_moved_is_followed(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    wiki.always = {"960px-Red_Bridge_1.jpg": (301, {"Location": f"{wiki.address}/file/960px-Elsewhere.jpg"}, b"")}
    assert collected(project(tmp_path, wiki)).refused == {}
    assert ("file", {"name": "960px-Elsewhere.jpg"}) in wiki.asked


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ([statement("P2043", "quantity", amount("+1280.2", "http://www.wikidata.org/entity/Q11573"))], "1280.2 m"),
        ([statement("P2043", "quantity", amount("+4", "1"))], "4"),
        ([statement("P2043", "time", year("-0300-00-00T00:00:00Z", 9))], "300 BC"),
        ([statement("P2043", "time", year("+1900-00-00T00:00:00Z", 7))], None),
        ([statement("P2043", "string", None)], None),
        ([statement("P2043", "string", text("one two three four five six"))], None),
        ([statement("P2043", "wikibase-item", item("Q404"))], None),
        ([statement("P2043", "string", text("old"), "deprecated")], None),
        ([statement("P2043", "string", text("past"), qualifiers={"P582": [{}]})], None),
        ([statement("P2043", "string", text("one")), statement("P2043", "string", text("other"))], None),
        ([statement("P2043", "string", text("one")), statement("P2043", "string", text("best"), "preferred")], "best"),
    ],
)
def test_only_statements_with_one_short_value_are_facts(
    tmp_path: Path, wiki: Wiki, time: Time, added: list[dict[str, object]], told: str | None
) -> None:
    wiki.entities["Q1"]["claims"]["P2043"] = added
    wiki.entities["Q11573"] = entity("Q11573", "metre", statement("P5061", "string", text("m")))
    with open_project(project(tmp_path, wiki)) as opened:
        source = wikidata.make(opened)
        assert "bridge/Q1" in source.list()
        assert source.find("bridge/Q1").thing.value("length") == told


def test_a_thing_without_an_english_name_and_one_that_was_deleted_are_refused(
    tmp_path: Path, wiki: Wiki, time: Time
) -> None:
    wiki.entities["Q1"]["labels"] = {}
    del wiki.entities["Q2"]
    outcome = collected(project(tmp_path, wiki))
    assert outcome.refused == {
        "bridge/Q1": "Q1 has no English name",
        "bridge/Q2": "Q2 has no English name",
    }


def test_more_than_a_batch_of_things_is_asked_for_in_batches(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    some = [f"Q{n}" for n in range(1000, 1060)]
    wiki.classes["Q12280"] = some
    for id_ in some:
        wiki.entities[id_] = entity(id_, f"Bridge {id_}", statement("P17", "wikibase-item", item("Q30")))
    folder = project(tmp_path, wiki)
    assert len(collected(folder).refused) == 60
    asked = [params["ids"].count("|") + 1 for kind, params in wiki.asked if kind == "entities"]
    assert asked == [50, 1, 1, 10]  # the countries of the second batch are known


@pytest.mark.parametrize(
    ("old", "new_", "told"),
    [
        ('contact = "ann@university.example"', 'contact = ""', "contact is empty; the services ask programs"),
        ('{ bridge = "Q12280" }', "{}", "classes is empty; name one at least"),
        ('"Q12280"', '"bridge"', "classes.bridge = 'bridge'"),
        ("limit = 100", "limits = 100", "unknown key 'limits'; did you mean 'limit'"),
    ],
)
def test_settings_that_are_missing_are_asked_for(
    tmp_path: Path, wiki: Wiki, time: Time, old: str, new_: str, told: str
) -> None:
    folder = project(tmp_path, wiki)
    change(folder, old, new_)
    with pytest.raises(UserError, match=told) as raised:
        collected(folder)
    assert "build.toml [sources.wikidata]" in str(raised.value)
    assert wiki.asked == []


def test_a_query_that_the_service_refuses_is_told(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    wiki.first["query"] = [(400, {}, b"MalformedQueryException: no such prefix\nat org.openrdf")]
    with pytest.raises(UserError, match=r"/query: 400 Bad Request \(MalformedQueryException: no such prefix\)"):
        collected(project(tmp_path, wiki))


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ("Ann Painter", "Ann Painter"),
        ('<a href="x">Ann</a> &amp; <b>Ben</b>', "Ann & Ben"),
        ("<p>Ann</p><p>Ben</p>", "Ann Ben"),
        ("<script>evil()</script>Ann<br>Ben<style>a{}</style>", "Ann Ben"),
        ('<div class="x">Ann<div style="display:none"><b>author QS:P50,Q1<img></b></div></div>', "Ann"),
        ("<b>Ann", "Ann"),
        ("a < b &lt;i&gt;", "a < b <i>"),
        ("", ""),
    ],
)
def test_markup_is_taken_out_of_names(markup: str, plain: str) -> None:
    assert without_markup(markup) == plain


def test_a_run_that_is_killed_between_any_two_requests_asks_nothing_twice(
    tmp_path: Path, wiki: Wiki, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, folder = project(tmp_path / "undisturbed", wiki), project(tmp_path / "killed", wiki)
    collected(undisturbed)
    once, wiki.asked = wiki.asked, []
    real = time.sleep
    left = 3

    def die_at_the_third(seconds: float) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        real(seconds)

    monkeypatch.setattr(time, "sleep", die_at_the_third)
    kills = 0
    while True:
        left = 3
        try:
            collected(folder)
            break
        except KeyboardInterrupt:
            kills += 1
    assert kills >= 7
    assert wiki.asked == once
    assert everything(folder) == everything(undisturbed)


def test_a_wait_can_be_named_by_a_date() -> None:
    assert _seconds("120") == 120
    assert _seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert (_seconds("Wed, 21 Oct 2099 07:28:00 GMT") or 0) > 1e9
    assert _seconds("soon") is None
    assert _seconds("") is None


def test_things_with_too_few_facts_cost_no_request_of_their_own(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    wiki.entities["Q1"]["claims"]["P571"] = []
    assert collected(project(tmp_path, wiki)).refused == {"bridge/Q1": "1 fact, and [collect].facts asks for 2"}
    asked = [params.get("gcmtitle", params.get("name", "")) for _, params in wiki.asked]
    assert len([each for each in asked if "Iron" in each]) == 4
    assert not [each for each in asked if "Red" in each]


def test_items_that_were_merged_and_files_that_were_renamed_are_followed(
    tmp_path: Path, wiki: Wiki, time: Time
) -> None:
    wiki.entities["Q30"] = {**wiki.entities["Q30"], "id": "Q99", "redirects": {"from": "Q30", "to": "Q99"}}
    wiki.renamed = {"File:Red Bridge 1.jpg": "File:Red Bridge by night.jpg"}
    wiki.entities["Q2"]["labels"] = {"mul": {"language": "mul", "value": "Pont de Fer"}}
    assert collected(project(tmp_path, wiki)).refused == {}
    with open_project(tmp_path, write=False) as opened:
        assert opened.things.get("bridge/Q1").content.value("country") == "Aland"
        assert opened.things.get("bridge/Q2").content.name == "Pont de Fer"
        origins = [entry.content.origin for entry in opened.pictures]
    assert origins[0].endswith("File:Red_Bridge_by_night.jpg")


def test_an_address_that_is_no_query_service_is_told(tmp_path: Path, wiki: Wiki, time: Time) -> None:
    wiki.first["query"] = [(200, {}, b'{"batchcomplete": true}')]
    with pytest.raises(UserError, match="/query answers no result of a query; is it a SPARQL service"):
        collected(project(tmp_path, wiki))
