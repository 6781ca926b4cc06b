"""Which tokens are the answer's, under either way of taking labels."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mmke.backbones.prompt import Layout, Prompt
from mmke.errors import UserError
from mmke.types import Ask, ImageRef

PICTURE = ImageRef(Path("a.png"), "0")

WORDS = [
    "a",
    "b",
    "Ġa",
    "Ġb",
    "pa",
    "ris",
    "Ġparis",
    "Ġ",
    "p",
    "r",
    "i",
    "s",
    "par",
    "is",
    "Ġp",
    "Ġpa",
    "Ġpar",
    "Ġpari",
]
MERGES = [("p", "a"), ("r", "i"), ("ri", "s"), ("Ġ", "a"), ("Ġ", "b"), ("Ġ", "pa"), ("Ġpa", "ris")]


@pytest.fixture
def spaced() -> Prompt:
    """A GPT-2 style vocabulary in which `Ġparis` is one piece and `paris` is two."""
    pieces = {piece: i for i, piece in enumerate(dict.fromkeys([*WORDS, "ri"]))}
    core = Tokenizer(models.BPE(pieces, MERGES))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return Prompt(PreTrainedTokenizerFast(tokenizer_object=core), Layout(2), frozenset())


def test_joint_labels_are_the_tail_of_the_joint_text(spaced: Prompt) -> None:
    encoded = spaced.encode("a b", "paris", image=None, ask=Ask(labels="joint"))
    assert encoded.target_ids == (WORDS.index("Ġparis"),)
    assert encoded.input_ids[-1] == WORDS.index("Ġparis")
    assert encoded.rows == (1,)


def test_labels_alone_have_no_space_and_shift_the_window(spaced: Prompt) -> None:
    encoded = spaced.encode("a b", "paris", image=None, ask=Ask(labels="alone"))
    assert encoded.target_ids == (WORDS.index("pa"), WORDS.index("ris"))
    assert encoded.rows == (0, 1)  # the window starts one token early: only the right end is aligned


def test_all_rows_include_the_last(spaced: Prompt) -> None:
    encoded = spaced.encode("a b", "paris", image=PICTURE, ask=Ask(positions="all"))
    assert encoded.rows == tuple(range(5))
    assert encoded.answer_rows == (3,)


def test_an_answer_that_nothing_predicts_is_an_error(spaced: Prompt) -> None:
    with pytest.raises(UserError, match="something before it"):
        spaced.encode("", "paris", image=None, ask=Ask(labels="alone"))


def test_a_second_image_has_keys_of_its_own(spaced: Prompt) -> None:
    ask = Ask(decode="generate")
    assert spaced.encode("a", "", image=PICTURE, ask=ask).input_ids[:2] == (-1, -2)
    assert spaced.encode("a", "", image=PICTURE, first=2, ask=ask).input_ids[:2] == (-3, -4)


@pytest.mark.parametrize("ask", [Ask(), Ask(labels="alone"), Ask(positions="all"), Ask(decode="generate")])
def test_the_questions_own_positions_lie_between_the_frame_and_the_answer(spaced: Prompt, ask: Ask) -> None:
    assert spaced.encode("a b", "paris", image=PICTURE, ask=ask).question == (2, 4)
    assert spaced.encode("a b", "paris", image=None, ask=ask).question == (0, 2)
    assert spaced.encode("", "paris", image=PICTURE, ask=Ask()).question == (2, 2)
