"""How much a project has used, by the kept replies, and how much is coming."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmke.build.writers.llm.replies import Kept
from mmke.build.writers.llm.settings import LlmSettings

CHARACTERS = 4
"""A token is estimated as so many characters, which holds roughly for English."""


def estimated(text: str) -> int:
    """Return about how many tokens a text is."""
    return -(-len(text) // CHARACTERS)


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens that were, or will be, sent and received."""

    calls: int
    sent: int
    received: int

    def told(self, settings: LlmSettings) -> str:
        """Return it in words, with the cost where prices are given."""
        tokens = f"{self.sent:,} tokens sent and {self.received:,} received"
        if not (settings.price_in or settings.price_out):
            return tokens
        cost = (self.sent * settings.price_in + self.received * settings.price_out) / 1e6
        return f"{tokens}, which cost {cost:,.2f} at the prices in build.toml"


def used(kept: Sequence[Kept]) -> tuple[Used, int]:
    """Return what kept replies took by the server's count, and how many came without one."""
    counted = [each.reply for each in kept if each.reply.sent is not None and each.reply.received is not None]
    sent, received = (sum(getattr(reply, name) or 0 for reply in counted) for name in ("sent", "received"))
    return Used(len(kept), sent, received), len(kept) - len(counted)
