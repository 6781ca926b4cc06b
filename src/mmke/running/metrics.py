"""Which metrics a run scores: the package's own, or those that were named. Loads no torch."""

from collections.abc import Iterable, Sequence

from mmke import registry
from mmke.errors import UserError
from mmke.types import Metric, ProbeKind, Switches


def make_metrics(
    switches: Switches, *, names: Sequence[str] = (), generate: bool = False, kinds: Iterable[ProbeKind] = ()
) -> list[Metric]:
    """Return the metrics behind registered names under a protocol.

    Args:
        switches: as resolved for the editor.
        names: registered names; none: the package's own. Those of other packages are never scored unasked: installing
            one would otherwise change what a run is made of.
        generate: where no names are given, whether to take those that score what the model writes by itself too.
        kinds: those of the records; where no names are given, metrics of hard locality are left out without its kinds.

    Raises:
        UserError: an unknown name.
    """
    made: list[Metric] = []
    hard = any(kind.role == "hard locality" for kind in kinds)
    for name in dict.fromkeys(names or registry.BUILT_IN["metrics"]):
        made += registry.factory("metrics", name)(switches)
    if names:
        return made
    usual = [metric for metric in made if generate or metric.ask.decode == "loglikelihood"]
    return [metric for metric in usual if hard or tuple(metric.roles) != ("hard locality",)]


def check_scored(metrics: Iterable[Metric], kinds: Iterable[ProbeKind], benchmark: str) -> None:
    """Refuse metrics of which none scores a question of the records.

    Raises:
        UserError: the message names them.
    """
    metrics, roles = list(metrics), {kind.role for kind in kinds}
    if roles and not any(roles & set(metric.roles) for metric in metrics):
        named = ", ".join(metric.name for metric in metrics)
        raise UserError(
            f"{named} scores no question of {benchmark}, which are of {', '.join(sorted(roles))}; choose other metrics "
            "with --metric, or other questions with --probes"
        )


def check_columns(metrics: Iterable[Metric], kinds: Iterable[ProbeKind]) -> None:
    """Refuse metrics of which two feed one column, before anything is asked.

    Raises:
        UserError: the message names both.
    """
    kinds = tuple(kinds)
    found: dict[str, str] = {}
    for metric in metrics:
        for column in dict.fromkeys(metric.column(kind) for kind in kinds if kind.role in metric.roles):
            if column in found:
                raise UserError(
                    f"the metrics {found[column]!r} and {metric.name!r} both feed the column {column!r}; choose one of "
                    "them with --metric, or let one name its columns otherwise"
                )
            found[column] = metric.name
