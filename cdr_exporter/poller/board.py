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
        self._shown: Sequence[str] | None = None

    def show(self, names: Sequence[str]) -> None:
        """From now on show the PBXs *names*, in this order, and forget all others."""
        self._shown = tuple(names)
        for name in set(self._newest) - set(names):
            self.forget(name)

    def forget(self, name: str) -> None:
        """Show the PBX *name* no longer, until it is put again."""
        self._newest.pop(name, None)

    def put(self, snapshot: Snapshot) -> None:
        """Replace the snapshot of the same PBX by *snapshot*."""
        self._newest[snapshot.pbx] = snapshot

    def snapshots(self) -> Sequence[Snapshot]:
        """Return the newest snapshot of every PBX that is shown; of all before `show`."""
        newest = self._newest
        if self._shown is None:
            return tuple(newest.values())
        # Another thread may be forgetting one of them.
        found = (newest.get(name) for name in self._shown)
        return tuple(each for each in found if each is not None)

    def of(self, name: str) -> Snapshot:
        """Return the newest snapshot of the PBX *name*; KeyError where there is none yet."""
        return self._newest[name]
