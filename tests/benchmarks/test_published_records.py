"""Which question goes with which picture and answer, for each kind of knowledge."""

import hashlib
from collections.abc import Callable

import pytest
from published_records import COLOURS, RECORDS, colour, record

from mmke.benchmarks.splits import AnnotationBenchmark
from mmke.types import STRICT, Benchmark, EditCase, Probe

Dataset = Callable[..., AnnotationBenchmark]

EDIT, OTHER, HOP, UNRELATED = COLOURS.values()
BEFORE_RELATIONS = [
    ("recall", "What is it?", "It is a pear from Peru.", EDIT),
    ("rephrase", "Name it.", "It is a pear from Peru.", EDIT),
    ("image_rephrase", "What is it?", "It is a pear from Peru.", OTHER),
    ("t_loc", "Who wrote Emma?", "Austen", None),
    ("i_loc", "Which colour?", "yellow", UNRELATED),
]
PAIRED_RELATIONS = [
    ("t_rel", "Text one?", "text answer one", None),
    ("t_rel", "Text two?", "text answer two", None),
    ("i_rel", "Picture one?", "picture answer one", EDIT),
    ("i_rel", "Picture two?", "picture answer two", EDIT),
    ("i_gen", "Picture one?", "picture answer one", OTHER),
    ("i_gen", "Picture two?", "picture answer two", OTHER),
]
TABLE = {
    "entity": [*BEFORE_RELATIONS, *PAIRED_RELATIONS, ("port", "Capital there?", "Lima", EDIT)],
    "user": [*BEFORE_RELATIONS, *PAIRED_RELATIONS, ("port", "Capital there?", "Lima", HOP)],
    "visual": [
        *BEFORE_RELATIONS,
        ("t_rel", "Text?", "text answer", None),
        ("i_rel", "Picture?", "picture answer", EDIT),
        ("i_gen", "Other picture?", "picture answer", OTHER),
        ("port", "Capital there?", "Lima", HOP),
    ],
}


def load(benchmark: AnnotationBenchmark, *, hop: int = 1) -> tuple[EditCase, ...]:
    return benchmark.load("eval", hop=hop, switches=STRICT).cases


def answers(case: EditCase, kind: str) -> list[str]:
    return [probe.target for probe in case.probes if probe.kind.name == kind]


def shown(probe: Probe) -> tuple[object, ...]:
    return probe.kind.name, probe.query.text, probe.target, colour(probe.query.image)


@pytest.mark.parametrize("kind", RECORDS)
def test_each_probe_has_its_question_answer_and_picture_in_the_fixed_order(kind: str, dataset: Dataset) -> None:
    (case,) = load(dataset(record(kind)))
    assert [shown(probe) for probe in case.probes] == TABLE[kind]


@pytest.mark.parametrize("kind", RECORDS)
def test_the_edit_is_the_prompt_on_the_edit_picture_with_both_descriptions(kind: str, dataset: Dataset) -> None:
    (case,) = load(dataset(record(kind, pred="It was a plum.")))
    (edit,) = case.edits
    assert (edit.query.text, colour(edit.query.image)) == ("What is it?", EDIT)
    assert (edit.target, edit.original) == ("It is a pear from Peru.", "It was a plum.")


def test_an_empty_original_description_is_no_problem(dataset: Dataset) -> None:
    (case,) = load(dataset(record("visual", pred="")))
    assert case.edits[0].original == ""


@pytest.mark.parametrize("prefix", ["", "m_"])
@pytest.mark.parametrize("number", [1, 2])
def test_answers_may_be_spelt_the_second_way(prefix: str, number: int, dataset: Dataset) -> None:
    first, second = f"{prefix}rel_ans_{number}", f"{prefix}rel_{number}_ans"
    (case,) = load(dataset(record("entity", without=[first], **{second: "respelt"})))
    assert answers(case, "i_rel" if prefix else "t_rel")[number - 1] == "respelt"


@pytest.mark.parametrize("prefix", ["", "m_"])
def test_the_first_spelling_wins_where_both_are_there(prefix: str, dataset: Dataset) -> None:
    both = {f"{prefix}rel_ans_1": "first", f"{prefix}rel_1_ans": "second"}
    (case,) = load(dataset(record("user", **both)))
    assert answers(case, "i_rel" if prefix else "t_rel")[0] == "first"


def test_ids_are_kind_and_position_and_stay_when_other_records_are_skipped(dataset: Dataset) -> None:
    kept = [record("entity"), record("user")]
    ids = [case.id for case in load(dataset(record("entity", alt=""), *kept))]
    assert ids == ["entity-00001", "user-00002"]


def test_one_file_may_mix_all_kinds(dataset: Dataset) -> None:
    cases = load(dataset(*(record(kind) for kind in RECORDS)))
    assert [[shown(probe) for probe in case.probes] for case in cases] == [TABLE[kind] for kind in RECORDS]


def test_tags_hold_the_kind_the_class_and_the_records_own_tags(dataset: Dataset) -> None:
    raw = record("visual", type_self="gesture", tags={"rephrase_style": "held-out"})
    (case,) = load(dataset(raw))
    expected = {"knowledge": "visual", "type_self": "gesture", "rephrase_style": "held-out"}
    assert [dict(probe.tags) for probe in case.probes] == [expected] * len(case.probes)


def test_pictures_are_identified_by_the_sha256_of_their_bytes(dataset: Dataset) -> None:
    (case,) = load(dataset(record("user")))
    images = [probe.query.image for probe in case.probes if probe.query.image]
    assert {image.path.name for image in images} == set(COLOURS)
    assert all(image.sha256 == hashlib.sha256(image.path.read_bytes()).hexdigest() for image in images)


def test_a_picture_folder_made_of_links_is_read(dataset: Dataset, pictures_linked: AnnotationBenchmark) -> None:
    (case,) = load(pictures_linked)
    assert [shown(probe) for probe in case.probes] == TABLE["entity"]


@pytest.fixture
def pictures_linked(dataset: Dataset) -> AnnotationBenchmark:
    benchmark = dataset(record("entity"))
    for file in list(benchmark.pictures.iterdir()):
        blob = benchmark.pictures.parent / f"blob-{file.name}"
        file.rename(blob)
        file.symlink_to(blob)
    return benchmark


def test_a_benchmark_satisfies_the_protocol(dataset: Dataset) -> None:
    assert isinstance(dataset(record("entity")), Benchmark)
