"""What is published: the newest snapshot of every PBX.

Rule: a poller's thread puts a snapshot in place of the older one by one reference, and whoever
reads gets whole ones. So no lock is needed, and no reader waits for a poller.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics.snapshot import Snapshot


class SnapshotBoard:
    """The newest snapshot of every PBX, in the order of the configuration."""

    def __init__(self) -> None:
        self._newest: dict[str, Snapshot] = {}

    def put(self, snapshot: Snapshot) -> None:
        """Replace a PBX's snapshot by *snapshot*."""
        self._newest[snapshot.pbx] = snapshot

    def snapshots(self) -> Sequence[Snapshot]:
        """Return all of them; each is whole."""
        return tuple(self._newest.values())

    def of(self, name: str) -> Snapshot:
        """Return one PBX's."""
        return self._newest[name]
