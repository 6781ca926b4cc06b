"""What the model writes by itself, held against the gold answer: exact match and token F1.

Both are SQuAD's (Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1): lower case, no punctuation, no
articles. Deviation: two texts that normalise to nothing match (1.0); one alone against nothing scores 0.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mmke.types import Answer, Ask, Metric, Probe, ProbeKind, Role, Score, Switches

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Return the text in lower case without punctuation and articles, its words joined by single blanks."""
    bare = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(answer: str, target: str) -> float:
    """Return 1.0 when both texts normalise to the same, else 0.0."""
    return float(normalise(answer) == normalise(target))


def token_f1(answer: str, target: str) -> float:
    """Return the harmonic mean of precision and recall over the bags of normalised words."""
    words, gold = Counter(normalise(answer).split()), Counter(normalise(target).split())
    if not words and not gold:
        return 1.0
    shared = (words & gold).total()
    return 2 * shared / (words.total() + gold.total())


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A comparison of the text that the edited model wrote with the gold answer; column: kind and suffix."""

    name: str
    compare: Callable[[str, str], float]
    suffix: str
    ask: Ask
    roles: tuple[Role, ...] = ("relation",)
    reference: Literal["base", "previous edit"] | None = None
    unit: str = "per cent"
    higher_is_better: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def column(self, kind: ProbeKind) -> str:
        """Return such as `i_rel_em` or `i_rel_f1`."""
        return f"{kind.name}{self.suffix}"

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Score the text that the edited model wrote; one answer counts as one."""
        return Score(value=self.compare(after.text, probe.target), n_scored=1)


def make_exact_match(switches: Switches) -> Sequence[Metric]:
    """Return exact match; no switch touches it."""
    return (TextMatch(name="exact-match", compare=exact_match, suffix="_em", ask=Ask(decode="generate")),)


def make_token_f1(switches: Switches) -> Sequence[Metric]:
    """Return token F1; no switch touches it."""
    return (TextMatch(name="token-f1", compare=token_f1, suffix="_f1", ask=Ask(decode="generate")),)
