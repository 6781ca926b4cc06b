"""The source `wikidata`: things of a class from Wikidata, with pictures from Wikimedia Commons.

Which things there are, the query service says (SPARQL); names and statements come from `wbgetentities`, pictures from
`imageinfo`, both of the MediaWiki action API, 50 at a time. Values that are entities bring their own statements along,
by the same properties, for questions that go one hop further. Pictures are those that the properties `images` name, and
then those in the thing's category on Commons (P373), in the order of the category.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from mmke.build.collect.judge import MOST_WORDS
from mmke.build.content import Fact, Thing
from mmke.build.project import Project
from mmke.build.protocols import FoundPicture, FoundThing
from mmke.build.settings import BUILD
from mmke.build.sources.wikidata.media import ASKED, MediaFile, read_pages, title
from mmke.build.sources.wikidata.statements import LANGUAGES, Entity, aliases, files, in_words, label, named, values
from mmke.build.sources.wikidata.web import MAXLAG, Clock, Web
from mmke.errors import UserError

BATCH = 50
"""Most ids or titles that the services take in one request."""
CATEGORY = "P373"
REPLIES = "replies/wikidata"

Item = Annotated[str, Field(pattern=r"^Q[1-9]\d*$")]
Property = Annotated[str, Field(pattern=r"^P[1-9]\d*$")]
Address = Annotated[str, Field(pattern=r"^https?://")]


class WikidataSettings(BaseModel):
    """`[sources.wikidata]`.

    Attributes:
        classes: items whose instances are taken, by the type that their things get.
        properties: which statements are facts, by the relation that they get.
        limit: most things of a class.
        images: properties that name pictures, the best first.
        pictures: most pictures of a thing.
        contact: a way to reach the user.
        pause: seconds between two requests.
        query: address of the query service.
        entities: address of the MediaWiki action API that has the items.
        media: address of the MediaWiki action API that has the pictures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: Mapping[str, Item]
    properties: Mapping[str, Property]
    limit: PositiveInt
    images: Annotated[tuple[Property, ...], Field(min_length=1)]
    pictures: PositiveInt
    contact: str
    pause: Annotated[float, Field(ge=0)]
    query: Address
    entities: Address
    media: Address


def make(project: Project) -> "WikidataSource":
    """Things of a class from Wikidata, with pictures from Wikimedia Commons.

    Raises:
        UserError: no class is named, or no way to reach the user.
    """
    settings = project.settings_of("sources", "wikidata", WikidataSettings)
    place = f"{project.folder / BUILD} [sources.wikidata]"
    if not settings.contact.strip():
        raise UserError(
            f"{place}: contact is empty; the services ask programs for a way to reach their user, an address of mail "
            'or web, such as contact = "name@university.example"'
        )
    if not settings.classes:
        raise UserError(f'{place}: classes is empty; name one at least, such as classes = {{ bridge = "Q12280" }}')
    return WikidataSource(settings, project, Clock())


class WikidataSource:
    """Things by their items, in batches; made by `make`."""

    name = "wikidata"

    def __init__(self, settings: WikidataSettings, project: Project, clock: Clock) -> None:
        """Make ready; nothing is asked yet."""
        self.by: Mapping[str, str] = {"source": "wikidata", "query": settings.query, "media": settings.media}
        self._settings = settings
        self._web = Web(contact=settings.contact, pause=settings.pause, kept=project.folder / REPLIES, clock=clock)
        self._least_facts = project.settings.collect.facts
        self._items: dict[str, str] = {}
        self._entities: dict[str, Entity] = {}
        self._media: dict[str, MediaFile] = {}

    def list(self) -> Sequence[str]:
        """Return the ids of the things: type and item, class by class, the best known first.

        Raises:
            UserError: the query service refuses the query.
            UnreachableError: it does not answer.
        """
        for kind, class_ in self._settings.classes.items():
            query = _query(class_, self._settings.images, self._settings.limit)
            reply = self._web.json(self._settings.query, {"query": query, "format": "json"})
            if "results" not in reply:
                raise UserError(f"{self._settings.query} answers no result of a query; is it a SPARQL service?")
            for binding in reply["results"]["bindings"]:
                item = binding["item"]["value"].rpartition("/")[2]
                self._items[f"{kind}/{item}"] = item
        return list(self._items)

    def find(self, id_: str) -> FoundThing:
        """Return one of them; the first of a batch asks for all of the batch.

        Raises:
            UserError: it has no English name.
            UnreachableError: a service does not answer.
        """
        item = self._items[id_]
        if item not in self._entities:
            self._ask_batch(item)
        entity = self._entities[item]
        name = label(entity)
        if name is None:
            raise UserError(f"{item} has no English name")
        facts = self._facts(item, further=True)
        # With too few facts it will be refused, and its category need not be asked for.
        pictures = self._pictures_of(entity) if len(facts) >= self._least_facts else ()
        thing = Thing(
            id=id_,
            name=name,
            type=id_.rpartition("/")[0],
            aliases=tuple(aliases(entity)),
            facts=facts,
            source=f"http://www.wikidata.org/entity/{item}",
        )
        return FoundThing(thing, tuple(self._picture(file) for file in pictures))

    def _ask_batch(self, item: str) -> None:
        """Ask for the items of the batch that an item is in, what their facts name, and the pictures that they name."""
        items = list(self._items.values())
        first = items.index(item) // BATCH * BATCH
        batch = items[first : first + BATCH]
        self._ask_entities(batch, "labels|aliases|claims")
        near = self._named(batch)
        self._ask_entities(near, "labels|claims")
        self._ask_entities(self._named(near), "labels|claims")
        titles = [each for item in batch for each in self._own_titles(self._entities[item])]
        for some in _batches(titles):
            reply = self._web.json(self._settings.media, {**ASKED, "titles": "|".join(some), "maxlag": MAXLAG})
            self._media.update(read_pages(reply))

    def _ask_entities(self, items: Iterable[str], props: str) -> None:
        for some in _batches(item for item in items if item not in self._entities):
            reply = self._web.json(
                self._settings.entities,
                {
                    "action": "wbgetentities",
                    "format": "json",
                    "ids": "|".join(some),
                    "props": props,
                    "languages": "|".join(LANGUAGES),
                    "maxlag": MAXLAG,
                },
            )
            # An item that was merged into another one is answered by the other.
            found: dict[str, Any] = {}
            for id_, entity in reply.get("entities", {}).items():
                found[entity.get("redirects", {}).get("from", id_)] = entity
            self._entities.update({item: found.get(item, {}) for item in some})

    def _named(self, items: Iterable[str]) -> Sequence[str]:
        return [each for item in items for each in named(self._entities[item], self._settings.properties)]

    def _facts(self, item: str, *, further: bool) -> tuple[Fact, ...]:
        entity, made = self._entities[item], []
        for relation, property_ in self._settings.properties.items():
            found = values(entity, property_)
            text = in_words(found[0], self._entities) if len(found) == 1 else None
            if text is None or not 1 <= len(text.split()) <= MOST_WORDS:
                continue
            other = found[0].entity
            source = f"http://www.wikidata.org/entity/{item} {property_}" + (f" {other}" if other else "")
            more = self._facts(other, further=False) if further and other and other != item else ()
            made.append(Fact(relation=relation, value=text, source=source, further=more))
        return tuple(made)

    def _own_titles(self, entity: Entity) -> Sequence[str]:
        return [title(name) for property_ in self._settings.images for name in files(entity, property_)]

    def _pictures_of(self, entity: Entity) -> Sequence[MediaFile]:
        own = [self._media[each] for each in self._own_titles(entity) if each in self._media]
        categories = values(entity, CATEGORY)
        if len(own) < self._settings.pictures and categories:
            own += self._in_category(categories[0].text)
        return list({file.title: file for file in own}.values())[: self._settings.pictures]

    def _in_category(self, category: str) -> Sequence[MediaFile]:
        members = {
            "generator": "categorymembers",
            "gcmtitle": f"Category:{category}",
            "gcmtype": "file",
            "gcmlimit": str(BATCH),
            "maxlag": MAXLAG,
        }
        found = read_pages(self._web.json(self._settings.media, {**ASKED, **members}))
        return [found[each] for each in sorted(found) if found[each].title == each]

    def _picture(self, file: MediaFile) -> FoundPicture:
        return FoundPicture(
            origin=file.page,
            author=file.author,
            licence=file.licence,
            licence_url=file.licence_url,
            read=partial(self._web.content, file.url),
            version=file.sha1,
        )


def _query(class_: str, images: Sequence[str], limit: int) -> str:
    """Return the query for the items of a class that have a picture, those with the most Wikipedia articles first.

    Kinds of animal and plant are no instances of their class, but stand under it as taxa (P171); species are taken.
    """
    pictured = "|".join(f"wdt:{each}" for each in images)
    return (
        "SELECT DISTINCT ?item ?links WHERE { "
        f"{{ ?item wdt:P31/wdt:P279* wd:{class_} . }} UNION "
        f"{{ ?item wdt:P171+ wd:{class_} ; wdt:P105 wd:Q7432 . }} "
        f"?item {pictured} ?picture ; wikibase:sitelinks ?links . "
        f"}} ORDER BY DESC(?links) ?item LIMIT {limit}"
    )


def _batches(each: Iterable[str]) -> Sequence[Sequence[str]]:
    different = list(dict.fromkeys(each))
    return [different[n : n + BATCH] for n in range(0, len(different), BATCH)]
