"""The published mixture of two models, to the last figure, and the texts it goes by."""

import math

import pytest
import torch
from serac_kit import BASE, CACHED, OTHER, similarity

from mmke.benchmarks.probes.published import RECALL
from mmke.editors.serac.counterfactual import behind
from mmke.editors.serac.mixture import aligned, soft
from mmke.editors.serac.scope import PublishedKeys
from mmke.types import Probe, Query


@pytest.mark.parametrize(("distance", "picked"), [(0.0, [2, 2]), (math.log(2), [2, 2]), (5.0, [0, 1]), (50.0, [0, 1])])
def test_the_mixture_goes_from_one_model_to_the_other(distance: float, picked: list[int]) -> None:
    assert soft(BASE, OTHER, similarity(distance)).argmax(-1).tolist() == picked


def test_the_mixture_half_way_has_the_published_values() -> None:
    half = soft(BASE, OTHER, similarity(math.log(2)))[1]
    torch.testing.assert_close(half, torch.tensor([-2.8721, -0.9243, -0.6040]), atol=5e-5, rtol=0)


def test_far_from_every_edit_the_mixture_is_the_base() -> None:
    torch.testing.assert_close(soft(BASE, OTHER, similarity(50.0)), BASE.log_softmax(-1), atol=2e-6, rtol=0)


def test_what_neither_model_expects_has_the_logarithm_of_the_epsilon_of_float32() -> None:
    certain = torch.tensor([[0.0, -1e4]])
    assert soft(certain, certain, similarity(0.0))[0, 1] == torch.tensor(1.1920929e-7).log()


def test_the_mixture_flips_where_a_soft_one_does() -> None:
    flip = 0.4097953
    below, above = (soft(BASE, OTHER, torch.tensor(flip + step))[1] for step in (-1e-5, 1e-5))
    assert (below.argmax().item(), above.argmax().item()) == (1, 2)


def test_rows_in_front_are_left_out() -> None:
    assert torch.equal(aligned(OTHER, 2), OTHER[1:])


def test_the_published_texts() -> None:
    keys = PublishedKeys("[SEP]")
    assert keys.of_edit(CACHED) == ("what is it a red[SEP]",)
    assert keys.of_probe("who ?", "me") == "who ? me"
    assert keys.of_probe("who ?", "") == "who ?"


def test_the_edit_stands_in_front_of_the_question() -> None:
    told = behind(CACHED, Probe(RECALL, Query("who ?"), "me"))
    assert f"{told.query.text} {told.target}" == "what is it a red cat who ? me"
