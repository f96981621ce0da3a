"""What was rendered once and is shown to every scrape until something in it changes."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from ..clock import Now
from ..metrics.snapshot import Snapshot

_RECENT_SECONDS = 1.0
"""How old, in seconds, a page may be for a scrape that would otherwise wait for the lock."""

T = TypeVar("T")


class Rendered(NamedTuple, Generic[T]):
    """The visible *families* of one PBX or of all, by name, as *snapshots* have them.

    It was rendered at *rendered_at*, and stays right up to *valid_until* if no snapshot is
    published; both are times on the steady clock.
    """

    snapshots: tuple[Snapshot, ...]
    rendered_at: float
    valid_until: float
    families: Mapping[str, T]

    def is_current(self, snapshots: tuple[Snapshot, ...], now: Now) -> bool:
        """Say whether it shows these snapshots and the clock has changed nothing in it."""
        if len(snapshots) != len(self.snapshots) or now.steady >= self.valid_until:
            return False
        return all(map(operator.is_, snapshots, self.snapshots))

    def is_recent(self, snapshots: tuple[Snapshot, ...], now: Now) -> bool:
        """Say whether a scrape may get it although newer *snapshots*, of the same PBXs, came."""
        if now.steady >= min(self.valid_until, self.rendered_at + _RECENT_SECONDS):
            return False
        # A PBX that another replica shows by now is never shown here.
        return [each.pbx for each in snapshots] == [each.pbx for each in self.snapshots]
