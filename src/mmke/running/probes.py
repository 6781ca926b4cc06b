"""What a run asks besides the published questions.

In: the evaluation records, the training records, and a request. Out: the records with the probes that are asked for.
"""

from collections.abc import Sequence
from dataclasses import replace

from mmke.benchmarks.probes.hard import with_hard_probes
from mmke.benchmarks.probes.partners import find_partners
from mmke.editing.sentence_encoder import SentenceEncoder
from mmke.errors import UserError
from mmke.running.request import Request
from mmke.types import EditCase, Split

ENCODER = "all-MiniLM-L6-v2"
"""Says how similar two descriptions are."""


def with_probes(split: Split, train: Sequence[EditCase], request: Request, *, benchmark: str) -> Split:
    """Return a whole evaluation split with the probes of a request.

    Partners are looked for among all records, also beyond a limit, so that a larger limit continues a run.

    Raises:
        UserError: partners are wanted of the training records, and there are none.
    """
    if request.probes == "published":
        return split
    if request.partners == "train" and not train:
        raise UserError(f"--partners train: {benchmark} has no training records; take --partners eval")
    encoder = SentenceEncoder(ENCODER)
    among = train if request.partners == "train" else split.cases
    partners = find_partners(split.cases, among, lambda texts: encoder.embed(texts).numpy())
    return replace(split, cases=with_hard_probes(split.cases, partners, published=request.probes == "all"))
