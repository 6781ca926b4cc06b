"""What the published training of an editor does beyond what it needs: a fair comparison has to do it as well."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedTraining:
    """Of MMKE-Bench (arXiv:2502.19870).

    Attributes:
        whole_gradient: the gradient of an edit is taken of the whole language model, and all but that of the edited
            matrices is thrown away.
        asks_all: a step asks every probe of the record, of which the loss reads four.
    """

    whole_gradient: bool = False
    asks_all: bool = False
