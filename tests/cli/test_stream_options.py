"""`mmke stream`: a preset with the user's own options over it, and what a user is told."""

from typing import Any

import pytest

from mmke.cli import main
from mmke.cli import stream as command
from mmke.running.request import Request


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Catch the request in place of carrying it out."""
    found: list[Request] = []

    def carry_out(request: Request, words: Any, workers: Any, *, track: Any, dry: bool) -> int:
        found.append(request)
        return 0

    monkeypatch.setattr(command, "carry_out", carry_out)
    return found


def test_without_options_the_three_mini_benchmarks_are_one_stream(requested: list[Request]) -> None:
    assert main(["stream"]) == 0
    (request,) = requested
    assert request.benchmarks == ("mini-entity+mini-visual+mini-user",)
    assert request.stream is not None
    assert (request.stream.order, request.stream.tests, str(request.stream.moments)) == ("seed", None, "right,end")
    assert (request.order_seeds, request.probes) == ((0,), "published")


def test_own_options_are_laid_over_a_preset(requested: list[Request]) -> None:
    words = ["stream", "--preset", "lifelong", "--tests", "20", "--seed", "7", "--partners", "eval"]
    assert main(words) == 0
    (request,) = requested
    assert request.stream is not None
    assert (request.stream.tests, request.stream.panel) == (20, 60)
    assert (request.order_seeds, request.probes, request.partners) == ((7,), "all", "eval")


def test_a_preset_has_its_own_seeds_and_probes(requested: list[Request]) -> None:
    assert main(["stream", "--preset", "lifelong"]) == 0
    assert (requested[0].order_seeds, requested[0].probes, requested[0].partners) == ((0, 1, 2), "all", "train")


def test_a_stream_too_long_for_its_file_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["stream", "--backbone", "tiny-llava", "--editor", "ft-llm", "--benchmark", "mini-user"]
    assert main([*words, "--preset", "vlkeb-seq"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("mmke: mini-user has 60 records: --tests 200 and a gap of 10 take 210; take --tests 50")
    assert told.count("\n") == 1


def test_the_preset_of_divided_records_names_a_command_that_can_be_run(
    requested: list[Request], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["stream", "--preset", "memeic"]
    for given in ([], ["--benchmark", "mini-entity@split+mini-user"]):
        assert main([*words, *given]) == 2
        told = capsys.readouterr().err
        assert "such as --benchmark mini-entity@split+mini-user@split" in told
        assert told.count("\n") == 1
    assert main([*words, "--benchmark", "mini-entity@split+mini-user@split"]) == 0
    assert len(requested) == 1


def test_a_difference_does_not_go_with_tables_of_other_things(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", ".", "--composition", "--difference", "ike", "none"]) == 2
    assert "--difference is of streams; ask for one at a time" in capsys.readouterr().err


def test_the_limit_of_a_run_is_told_as_the_tests_of_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stream", "--limit", "5"]) == 2
    assert capsys.readouterr().err == (
        "mmke: unknown option --limit; a stream has --tests N in its place (mmke stream --help)\n"
    )
