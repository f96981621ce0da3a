"""What is published: the newest snapshot of every PBX.

Rule: a poller's thread replaces the snapshot of its PBX by assigning one reference, so a reader in
another thread sees whole snapshots only. No lock is needed, and no reader waits for a poller.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics.snapshot import Snapshot


class SnapshotBoard:
    """The newest snapshot of every PBX, in the order of the configuration."""

    def __init__(self) -> None:
        self._newest: dict[str, Snapshot] = {}

    def put(self, snapshot: Snapshot) -> None:
        """Replace the snapshot of the same PBX by *snapshot*."""
        self._newest[snapshot.pbx] = snapshot

    def snapshots(self) -> Sequence[Snapshot]:
        """Return the newest snapshot of every PBX."""
        return tuple(self._newest.values())

    def of(self, name: str) -> Snapshot:
        """Return the newest snapshot of the PBX *name*; KeyError where there is none yet."""
        return self._newest[name]
