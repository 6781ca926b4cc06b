"""An empty word of a command line is a mistake, and not the current folder."""

import pytest

from mmke.cli.app import main


@pytest.mark.parametrize(
    ("words", "before"),
    [
        (["run", "--out", ""], "--out"),
        (["run", "--out="], "--out"),
        (["status", ""], "status"),
        (["merge", "a", "", "--out", "b"], "a"),
    ],
)
def test_an_empty_word_is_refused_with_what_stands_before_it(
    words: list[str], before: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"mmke: nothing stands behind {before}; a variable of the shell may be empty\n"
