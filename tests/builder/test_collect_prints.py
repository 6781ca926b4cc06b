"""Near-duplicates, on the drawings that come with mmke and on photographs' usual fates."""

import io
import itertools
import json
from functools import cache
from importlib.resources import files

import pytest
from own_folder import picture
from PIL import Image

from mmke.build.collect.prints import Known, near, prints_of

MINI = files("mmke.benchmarks") / "mini" / "data_image"
DISTANCE = 10


@cache
def drawings() -> dict[tuple[str, str], Image.Image]:
    """Return each drawing of mini once, by its thing and its style."""
    manifest = json.loads((MINI / "manifest.json").read_text())["pictures"]
    alone = {file: parts[0] for file, parts in manifest.items() if len(parts) == 1}
    first = {(part["thing"], part["style"]): file for file, part in reversed(alone.items())}
    return {key: Image.open(io.BytesIO((MINI / first[key]).read_bytes())).convert("RGB") for key in sorted(first)}


def copy_of(image: Image.Image, crop: float = 0.0, scale: float = 1.0, quality: int = 60) -> Image.Image:
    """Return a picture as somebody passed it on: cropped, scaled, and saved as JPEG."""
    x, y = int(image.width * crop), int(image.height * crop)
    cut = image.crop((x, y, image.width - x, image.height - y))
    out = io.BytesIO()
    cut.resize((int(image.width * scale), int(image.height * scale))).save(out, "JPEG", quality=quality)
    return Image.open(out)


def pairs(chosen: dict[tuple[str, str], Image.Image]) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    prints = {key: prints_of(image) for key, image in chosen.items()}
    return [
        (one, other) for one, other in itertools.combinations(prints, 2) if near(prints[one], prints[other], DISTANCE)
    ]


def test_flags_of_one_layout_in_other_colours_are_no_duplicates() -> None:
    wanted = (
        "flag-fr",
        "flag-it",
        "flag-ie",
        "flag-ro",
        "flag-be",
        "flag-ng",
        "flag-de",
        "flag-nl",
        "flag-ru",
        "flag-hu",
    )
    flags = {key: image for key, image in drawings().items() if key[0] in wanted}
    assert len({thing for thing, _ in flags}) >= 5
    assert [pair for pair in pairs(flags) if pair[0][0] != pair[1][0]] == []


def test_the_hash_alone_takes_different_flags_for_the_same() -> None:
    one, other = Image.new("RGB", (240, 160), "white"), Image.new("RGB", (240, 160), "white")
    for image, colours in ((one, ("#002395", "#ed2939")), (other, ("#009246", "#ce2b37"))):
        image.paste(colours[0], (0, 0, 80, 160))
        image.paste(colours[1], (160, 0, 240, 160))
    first, second = prints_of(one), prints_of(other)
    assert (int(first["phash"], 16) ^ int(second["phash"], 16)).bit_count() <= DISTANCE
    assert not near(first, second, DISTANCE)


@pytest.mark.parametrize(("crop", "scale", "quality"), [(0, 1, 30), (0, 0.5, 90), (0.02, 0.7, 60), (0.04, 2, 80)])
def test_a_copy_that_was_passed_on_is_found(crop: float, scale: float, quality: int) -> None:
    chosen = [*list(drawings().values())[::60], picture("one"), picture("other")]
    found = [near(prints_of(image), prints_of(copy_of(image, crop, scale, quality)), DISTANCE) for image in chosen]
    assert all(found)


@pytest.mark.slow
def test_no_two_things_of_mini_are_near_and_nearly_all_copies_are() -> None:
    assert len(drawings()) > 800
    known, twins = Known(DISTANCE), []
    for (thing, style), image in drawings().items():
        prints = prints_of(image)
        twin = known.twin(prints)
        if twin is None:
            known.add(f"{thing} {style}", prints)
        else:
            twins.append((thing, twin.partition(" ")[0]))
    assert len(twins) < 5
    assert all(one == other for one, other in twins)
    some = list(drawings().values())[::4]
    found = [near(prints_of(image), prints_of(copy_of(image, 0.04, 0.7)), DISTANCE) for image in some]
    assert sum(found) / len(found) >= 0.98


def test_the_first_of_several_twins_is_named_also_among_many() -> None:
    known = Known(DISTANCE)
    for n in range(150):
        known.add(f"p{n}", prints_of(picture(f"picture {n}", (64, 64))))
    known.add("again", prints_of(picture("picture 70", (128, 128))))
    assert known.twin(prints_of(picture("picture 70", (96, 96)))) == "p70"
    assert known.twin(prints_of(picture("a new one", (64, 64)))) is None


def test_prints_of_other_programs_are_compared_by_the_hash_alone() -> None:
    one = prints_of(picture("one"))
    hash_alone = {"phash": one["phash"]}
    assert near(one, hash_alone, DISTANCE)
    assert not near(hash_alone, {"phash": f"{int(one['phash'], 16) ^ (2**20 - 1):016x}"}, DISTANCE)
    assert not near(one, {}, DISTANCE)
