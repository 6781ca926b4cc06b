"""The tabs: each has a session of its own, which goes when the tab is closed, or has been idle for long.

Nothing looks at the tabs by itself: those that are to go are put away at the next call of any tab.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mmke.errors import UserError

if TYPE_CHECKING:
    from mmke.web.play.room.desk import Desk

MOST_TABS = 24
IDLE_SECONDS = 30 * 60
LEFT_SECONDS = 60
"""How long a tab that said goodbye is kept: one that is loaded again says it too."""


class GoneError(UserError):
    """There is no such tab any more."""


@dataclass
class Tab:
    """One tab; `busy` while something is done for it."""

    id: str
    seen: float
    busy: bool = False
    left: bool = False
    desk: "Desk | None" = None
    records: dict[str, str] = field(default_factory=dict)


class Tabs:
    """The tabs of one start. It is called in the server's loop alone."""

    def __init__(self, put_away: Callable[[Tab], None], now: Callable[[], float] = time.monotonic) -> None:
        """Begin without tabs; `put_away` ends a tab's sessions where they live."""
        self._tabs: dict[str, Tab] = {}
        self._put_away, self.now = put_away, now

    def open(self, name: str | None) -> tuple[Tab, bool]:
        """Return a tab, and whether it is a new one.

        Raises:
            UserError: too many tabs are at work.
        """
        self.sweep()
        if name in self._tabs:
            return self.get(str(name)), False
        if len(self._tabs) >= MOST_TABS:
            idle = [tab for tab in self._tabs.values() if not tab.busy]
            if not idle:
                raise UserError(f"{MOST_TABS} tabs are at work, and no more; close one.")
            self._drop(min(idle, key=lambda tab: tab.seen))
        tab = Tab(secrets.token_hex(16), self.now())
        self._tabs[tab.id] = tab
        return tab, True

    def get(self, name: str) -> Tab:
        """Return a tab, which is not idle now.

        Raises:
            GoneError: there is none.
        """
        self.sweep()
        tab = self._tabs.get(name)
        if tab is None:
            raise GoneError("This tab's edits were put away: it was idle for long, or the command was started again.")
        tab.seen, tab.left = self.now(), False
        return tab

    def leave(self, name: str) -> None:
        """Take notice that a tab was closed, or is loaded again."""
        tab = self._tabs.get(name)
        if tab is not None:
            tab.left, tab.seen = True, self.now()

    def sweep(self) -> None:
        """Put away what nobody has asked for in a while."""
        now = self.now()
        for tab in list(self._tabs.values()):
            if not tab.busy and now - tab.seen > (LEFT_SECONDS if tab.left else IDLE_SECONDS):
                self._drop(tab)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._tabs)

    def _drop(self, tab: Tab) -> None:
        del self._tabs[tab.id]
        self._put_away(tab)
