"""Questions with choices: the text that a model is asked, and the letter that is right.

The form is the one in common use: what is needed to know, the question, the choices with their letters, and a request
for the letter.
"""

from collections.abc import Sequence

LETTERS = "ABCDEFGHIJ"
REQUEST = "Answer with the option's letter from the given choices directly."


def with_choices(question: str, choices: Sequence[str], *, hint: str = "") -> str:
    """Return a question as it is asked."""
    options = [f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False)]
    return "\n".join([*([hint] if hint else []), question, *options, REQUEST])
