"""`mmke build report`: what people decided, how often they agreed, how long it took."""

import json
from collections.abc import Sequence

from mmke.build.project import Project
from mmke.build.record import Record
from mmke.build.verdicts.computing import figures
from mmke.build.verdicts.figures import Count, Figures, Rates, Seconds
from mmke.counting import counted
from mmke.lines import rounded


def report(project: Project, records: Sequence[Record]) -> str:
    """Return the report as text."""
    return as_text(figures(project, records))


def report_json(project: Project, records: Sequence[Record]) -> str:
    """Return the report's figures as JSON; numbers have six decimals."""
    return json.dumps(_rounded(figures(project, records).plain()), ensure_ascii=False, indent=1)


def as_text(found: Figures) -> str:
    """Return figures as text for people to read, section by section."""
    told = [_records(found)]
    if found.all.judged:
        told += [
            _table("By stage", found.by_stage, ("untouched", "corrected", "rejected")),
            _table("By type", found.by_type, ("accepted", "corrected", "rejected")),
            _table("By rule that finds something", found.by_rule, ("accepted", "corrected", "rejected")),
        ]
    told.append(_agreement(found))
    told.append(_seconds(found.seconds))
    told += [_counts("Reasons of rejections", found.reasons), _counts("Corrected texts", found.corrections)]
    told.append(_annotators(found))
    return "\n\n".join(part for part in told if part)


def _records(found: Figures) -> str:
    states = found.states
    counts = ", ".join(f"{states[state]} {state}" for state in states)
    lines = [f"{counted(found.records, 'record')}: {counts}", f"for two people: {found.double}"]
    if found.stale:
        lines.append(f"not counted, as the record has changed since: {counted(found.stale, 'verdict')}")
    if not found.all.judged:
        lines.append("no record is decided yet")
    return "\n".join(lines)


def _table(title: str, rows: Sequence[Rates], heads: tuple[str, str, str]) -> str:
    cells = [(title, "judged", *heads)]
    cells += [
        (
            f"  {row.name}",
            str(row.judged),
            _share(row.accepted, row.judged),
            _share(row.corrected, row.judged),
            _share(row.rejected, row.judged),
        )
        for row in rows
        if row.judged
    ]
    return _aligned(cells)


def _share(count: int, of: int) -> str:
    return f"{count} ({count / of:.0%})"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _agreement(found: Figures) -> str:
    agreed = found.agreement
    if not agreed.records:
        return "Agreement: no double verdicts yet"
    lines = [f"Agreement on keep or reject, of people who decided alone: {agreed.same} of {agreed.records} records"]
    if agreed.alpha is None:
        lines.append("  Krippendorff's alpha is not defined: all verdicts are the same")
    else:
        lines.append(f"  Krippendorff's alpha (nominal) {agreed.alpha:.3f}{_interval(found)}")
    if found.disputes:
        own = f" ({found.own} by one of the two sides)" if found.own else ""
        differing = counted(found.disputes, "record")
        lines.append(f"  differing verdicts: {differing}, adjudicated: {found.adjudicated}{own}")
    return "\n".join(lines)


def _interval(found: Figures) -> str:
    agreed = found.agreement
    if agreed.low is None or agreed.high is None:
        return ""
    left = f"; left out: {counted(agreed.undefined, 'draw')} without an alpha" if agreed.undefined else ""
    return f", 95% interval {agreed.low:.3f} to {agreed.high:.3f} (bootstrap over records{left})"


def _seconds(seconds: Seconds | None) -> str:
    if seconds is None:
        return "Time: none measured yet"
    return (
        f"Time of a first or second look: median {seconds.median:.0f} s, quartiles {seconds.lower:.0f} s and "
        f"{seconds.upper:.0f} s, {counted(seconds.verdicts, 'verdict')}"
    )


def _counts(title: str, counts: Sequence[Count]) -> str:
    lines = [title] if counts else []
    for each in counts:
        lines.append(f"  {each.name}: {each.count}")
        for example in each.examples:
            change = f"{example.before!r} → {example.after!r}" if example.before else example.after
            lines.append(f"    {example.record}{': ' if change else ''}{change}")
    return "\n".join(lines)


def _annotators(found: Figures) -> str:
    if not found.annotators:
        return ""
    cells = [("Annotators", "accepted", "corrected", "rejected", "adjudicated", "median s")]
    cells += [
        (
            f"  {each.name}",
            str(each.accepted),
            str(each.corrected),
            str(each.rejected),
            str(each.adjudications),
            "-" if each.seconds is None else f"{each.seconds.median:.0f}",
        )
        for each in found.annotators
    ]
    return _aligned(cells)


def _rounded(plain: object) -> object:
    if isinstance(plain, float):
        return rounded(plain)
    if isinstance(plain, dict):
        return {key: _rounded(value) for key, value in plain.items()}
    return [_rounded(value) for value in plain] if isinstance(plain, list | tuple) else plain
