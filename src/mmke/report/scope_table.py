"""From scopes to tables: text, JSON, CSV, LaTeX or Markdown; see `scope.py` for what is in them."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from mmke.report.blocks import ABSENT, TableBlock
from mmke.report.scope import GAINED, INSIDE, LIMITS, Scope
from mmke.report.table import check_form, csv_text, draw, json_text, rounded

NOTES = (
    f"n: cases whose I-Rel gained at least {GAINED:.0%} and that have RI, NI or CI",
    "in: mean of I-Gen, T-Rel and image_rephrase; out: mean of those of RI, NI and CI that a case has",
    f"right: in ≥ {INSIDE:.0%} and out ≥ the limit in the heading; narrow: only out; wide: only in; both: neither",
)
SHARES = ("right", "narrow", "wide", "both")
ABOUT = ("backbone", "benchmark", "hop", "protocol", "schedule", "editor", "seed", "order_seed", "n", "cases")


def render_scopes(scopes: Sequence[Scope], form: str) -> str:
    """Return scopes in one of five forms, without a newline at the end.

    Raises:
        UserError: unknown form.
    """
    check_form(form)
    if form == "json":
        return json_text([_plain(scope) for scope in scopes])
    if form == "csv":
        return csv_text([line for scope in scopes for line in _csv_lines(_plain(scope))])
    blocks = [list(block) for _, block in groupby(scopes, key=lambda scope: scope.block)]
    return draw([made for block in blocks for made in _blocks(block)], form)


def _plain(scope: Scope) -> dict[str, Any]:
    plain = scope.as_dict()
    return rounded(plain | {"shares": list(plain["shares"])})  # type: ignore[no-any-return]


def _csv_lines(plain: dict[str, Any]) -> Iterator[dict[str, Any]]:
    about = {name: plain[name] for name in ABOUT}
    for shares in plain["shares"]:
        figures = {f"{name}_{shares['limit']}": shares[name] for name in SHARES}
        yield from (about | {"figure": name, "kind": "", "value": value} for name, value in figures.items())
    for kind, gate in plain["gates"].items():
        figures = {name: value for name, value in gate.items() if name not in ("in_scope", "n") and value is not None}
        yield from (about | {"figure": name, "kind": kind, "value": value} for name, value in figures.items())


def _blocks(scopes: Sequence[Scope]) -> Iterator[TableBlock]:
    first = scopes[0]
    schedule = "" if first.schedule == "single" else f", {first.schedule}"
    place = f"{first.backbone} on {first.benchmark}, hop {first.hop}, protocol {first.protocol}{schedule}"
    yield TableBlock(
        title=f"{place}: scope of the edits that took, per cent",
        header=("editor", *(f"{name} {limit:.0%}" for limit in LIMITS for name in SHARES), "n", "of"),
        lines=tuple((_name(scope, scopes), *_shares(scope), str(scope.n), str(scope.cases)) for scope in scopes),
        notes=NOTES,
    )
    gated = [scope for scope in scopes if scope.gates]
    if gated:
        yield TableBlock(
            title=f"{place}: what was decided on each kind of question, per cent",
            header=("kind", "accepted", "right edit", "false rejections", "false acceptances", "n"),
            lines=tuple(line for scope in gated for line in _gate_lines(scope, scopes)),
            notes=(),
        )


def _name(scope: Scope, scopes: Sequence[Scope]) -> str:
    seeds, orders = {each.seed for each in scopes}, {each.order_seed for each in scopes} - {None}
    about = [f"seed {scope.seed}"] if len(seeds) > 1 else []
    about += [f"order {scope.order_seed}"] if len(orders) > 1 else []
    return f"{scope.editor} ({', '.join(about)})" if about else scope.editor


def _shares(scope: Scope) -> Iterator[str]:
    if not scope.shares:
        yield from [ABSENT] * len(LIMITS) * len(SHARES)
    for shares in scope.shares:
        yield from (f"{getattr(shares, name):.1f}" for name in SHARES)


def _gate_lines(scope: Scope, scopes: Sequence[Scope]) -> Iterator[tuple[str, ...]]:
    yield (_name(scope, scopes),)
    for kind, gate in scope.gates.items():
        figures = (gate.accepted, gate.right_edit, gate.false_rejections, gate.false_acceptances)
        yield (kind, *(ABSENT if figure is None else f"{figure:.1f}" for figure in figures), str(gate.n))
