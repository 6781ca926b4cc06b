"""What every editor promises that decides per question whether a remembered edit answers it: a router.

The claims are functions of an `EditorTrial`, as in `editors`; `routing_contract` tries them all, one test each.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from mmke.backbones.engine import greedy
from mmke.backbones.engine.decoder import Decoder
from mmke.backbones.engine.packing import sight
from mmke.editing.routed_session import RoutedSession
from mmke.protocols import Batch, Route, Router, Written
from mmke.testing.editors import ASK, WRITING, Claim, EditorTrial, editor_contract
from mmke.testing.kit import TINY, Changes
from mmke.testing.streams import SOME, batches, decided
from mmke.types import Ask, Probe, Query

OTHER_GOLD = ("x", "Neither of these two, nor any other.")
"""Answers that no record has."""


@contextmanager
def routed(trial: EditorTrial) -> Iterator[Any]:
    """Open a session with a stream of edits in force; it is a router."""
    with trial.open() as session:
        assert isinstance(session, Router)
        for batch in batches(trial.cases):
            session.apply(batch)
        yield session


def asked(trial: EditorTrial) -> list[Probe]:
    """Return questions on two edits, with pictures and without."""
    return [probe for case in trial.cases[:2] for probe in case.probes[:SOME]]


def noted(session: Any, route: Route) -> dict[str, int]:
    """Return the notes that say what was decided; a session whose route stands for many edits names none of them."""
    names_edit = not isinstance(session, RoutedSession) or session.names_edit
    return {"accepted": int(route is not None), **({"edit": route} if names_edit and route is not None else {})}


def before_the_first_edit_nothing_is_accepted_or_noted(trial: EditorTrial) -> None:
    """An empty memory decides nothing, and its answers say nothing of a decision."""
    probes = asked(trial)
    with trial.open() as session:
        assert isinstance(session, Router)
        assert session.decide([probe.query for probe in probes]) == [None] * len(probes)
        assert [decided(answer) for answer in session.answer(probes, ASK)] == [{}] * len(probes)


def the_route_depends_on_question_and_picture_alone(trial: EditorTrial) -> None:
    """Notes say what `decide` says, whatever the gold answer, the kind and the tags are, and however it is asked."""
    probes = asked(trial)
    ways: list[tuple[Ask, Callable[[Probe], Probe]]] = [
        (ASK, lambda probe: probe),
        (Ask(positions="all", top=3), lambda probe: replace(probe, target=OTHER_GOLD[0])),
        (ASK, lambda probe: replace(probe, target=OTHER_GOLD[1], kind=probes[0].kind, tags={})),
        (WRITING, lambda probe: replace(probe, target="")),
    ]
    with routed(trial) as session:
        routes = session.decide([probe.query for probe in probes])
        expected = [noted(session, route) for route in routes]
        for way, changed in ways:
            assert [decided(answer) for answer in session.answer([changed(each) for each in probes], way)] == expected
    with routed(trial) as session:  # which has decided nothing yet
        for probe, route in zip(reversed(probes), reversed(routes), strict=True):
            assert session.decide([probe.query]) == [route]


def a_route_is_decided_once_for_all_tokens_of_an_answer(trial: EditorTrial) -> None:
    """No question is decided again while its answer is written, and a longer answer begins as a shorter one."""
    probes = [replace(probe, target="") for probe in asked(trial)]
    with routed(trial) as session:
        seen = counted(session)
        long = session.answer(probes, WRITING)
        assert not Counter(seen) - Counter(probe.query for probe in probes)
    with routed(trial) as session:
        for most in (1, WRITING.max_new - 1):
            short = session.answer(probes, replace(WRITING, max_new=most))
            assert [answer.token_ids for answer in short] == [answer.token_ids[:most] for answer in long]
            assert [decided(answer) for answer in short] == [decided(answer) for answer in long]


def decoding_with_a_cache_equals_decoding_without_one(trial: EditorTrial) -> None:
    """A session writes the same tokens where each query is by itself and everything is run anew for each token."""
    probes = [replace(probe, target="") for probe in asked(trial)]
    with routed(trial) as session:
        cached = session.answer(probes, WRITING)
        with patch.object(greedy, "continue_batch", continue_without_a_cache):
            anew = session.answer(probes, WRITING)
    assert [answer.token_ids for answer in anew] == [answer.token_ids for answer in cached]
    assert [decided(answer) for answer in anew] == [decided(answer) for answer in cached]
    assert any(decided(answer)["accepted"] for answer in cached)
    assert max(len(answer.token_ids) for answer in cached) > 1


def continue_without_a_cache(
    decoder: Decoder, batch: Batch, embeds: Sequence[Tensor], limits: Sequence[int], *, ends: greedy.Ends
) -> list[Written]:
    """Continue every query of a batch; for the arguments see `greedy.continue_batch`."""
    written = {}
    for pack, each in zip(batch.packs, embeds, strict=True):
        for member, own in zip(pack.members, sight(pack, pack.ends), strict=True):
            query = each[:, own], pack.position_ids[..., own]
            written[member] = _continue_one(decoder, *query, limits[member], ends)
    return [written[i] for i in range(len(batch.encoded))]


def _continue_one(decoder: Decoder, embeds: Tensor, positions: Tensor, limit: int, ends: greedy.Ends) -> Written:
    written = Written((), finished=False)
    while True:
        new = decoder.embed(torch.tensor(written.ids, dtype=torch.long))[None]
        places = torch.cat([positions, positions[..., -1:] + torch.arange(1, len(written.ids) + 1)], dim=-1)
        read = decoder.model(
            inputs_embeds=torch.cat([embeds, new], dim=1), position_ids=places.unsqueeze(-2), use_cache=False
        )
        token = int(decoder.head(read.last_hidden_state[0, -1]).argmax())
        written = greedy._longer(written, token, limit, ends)
        if not greedy._goes_on(written, limit):
            return written


def counted(session: Any) -> list[Query]:
    """Return a list to which every query is added that the session decides from now on."""
    seen: list[Query] = []
    decide = session.decide

    def counting(queries: Sequence[Query]) -> list[Route]:
        seen.extend(queries)
        routes: list[Route] = decide(queries)
        return routes

    session.decide = counting
    return seen


ROUTING_CLAIMS: tuple[Claim, ...] = (
    before_the_first_edit_nothing_is_accepted_or_noted,
    the_route_depends_on_question_and_picture_alone,
    a_route_is_decided_once_for_all_tokens_of_an_answer,
    decoding_with_a_cache_equals_decoding_without_one,
)


def routing_contract(
    *names: str,
    backbones: Sequence[str] = TINY,
    claims: Sequence[Claim] = ROUTING_CLAIMS,
    changes: Changes | None = None,
) -> Callable[..., None]:
    """Return a test of every claim about routing for each of these editors; for the arguments see `editor_contract`."""
    return editor_contract(*names, backbones=backbones, claims=claims, changes=changes)
