"""Tables and plain data of abilities at checkpoints."""

import json
from pathlib import Path

import pytest
from stream_kit import write_stream

from mmke.errors import UserError
from mmke.report.streams.render import render_streams
from mmke.report.streams.summaries import read_streams
from mmke.results.abilities import ABILITIES, AbilityRecord, AnswerRecord, ability_line, parse_ability, read_abilities

RIGHT = ("lion", True, True)
LONG = ("lion This This", False, True)
WRONG = ("dog", False, False)


def record(edits: int, *answers: tuple[str, bool, bool], suite: str = "held-out") -> AbilityRecord:
    said = tuple(
        AnswerRecord(id=str(place), text=text, exact=exact, starts=starts)
        for place, (text, exact, starts) in enumerate(answers)
    )
    return AbilityRecord(edits, edits - 1 if edits else None, suite, "r", 1462, 5, said)


def test_each_suite_has_a_table_with_the_unedited_model_first(tmp_path: Path) -> None:
    lines = [
        record(0, RIGHT, RIGHT),
        record(3, LONG, RIGHT),
        record(0, WRONG, suite="pope"),
        record(3, RIGHT, suite="pope"),
    ]
    for seed in (0, 1):
        folder = write_stream(tmp_path, order_seed=seed)
        (folder / ABILITIES).write_bytes(b"".join(map(ability_line, lines)))
    text = render_streams(read_streams(tmp_path), "text")
    table = text[text.index("held-out by number of edits") :].splitlines()
    assert table[1].split() == ["editor", "0", "3"]
    values = {table[at].strip(): table[at + 1].split()[1:] for at in (3, 5, 7, 9)}
    assert values == {
        "exactly right, per cent": ["100.0", "50.0"],
        "the same, change from the unedited model": ["–", "−50.0", "±28.9"],
        "begins with the right answer, per cent": ["100.0", "100.0"],
        "words of an answer": ["1.0", "2.0"],
    }
    assert "2 questions of 1462" in table[11]
    assert "pope by number of edits" in text


def test_plain_data_have_every_order(tmp_path: Path) -> None:
    folder = write_stream(tmp_path)
    (folder / ABILITIES).write_bytes(ability_line(record(0, RIGHT)) + ability_line(record(3, LONG)))
    before, after = json.loads(render_streams(read_streams(tmp_path), "json"))[0]["abilities"]
    assert (before["edits_applied"], after["edits_applied"]) == (0, 3)
    assert after["figures"]["exact"] == 0.0
    assert after["difference"]["exact"] == -1.0
    assert after["difference"]["words"] == 2.0


def test_a_stream_without_abilities_has_no_table(tmp_path: Path) -> None:
    write_stream(tmp_path)
    streams = read_streams(tmp_path)
    assert "held-out" not in render_streams(streams, "text")
    assert streams[0].as_dict()["abilities"] == []


def test_a_line_is_read_as_it_was_written_and_a_later_field_is_kept() -> None:
    line = ability_line(record(3, LONG))
    assert parse_ability(line) == record(3, LONG)
    later = line.replace(b'"step":2', b'"step":2,"mood":"calm"')
    assert b'"mood":"calm"' in ability_line(parse_ability(later))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (ability_line(record(3, LONG)) * 2, "line 2: the answers to held-out after 3 edits stand in two places"),
        (b"{}\n", "line 1: edits_applied: Field required"),
        (ability_line(record(3, LONG)).replace(b"false", b'"no"'), "line 1: answers.0.exact"),
    ],
)
def test_a_broken_line_is_told_with_its_place(tmp_path: Path, line: bytes, told: str) -> None:
    (tmp_path / ABILITIES).write_bytes(line)
    with pytest.raises(UserError, match=told):
        read_abilities(tmp_path)
