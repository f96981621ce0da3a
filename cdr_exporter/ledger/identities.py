"""The identities that a ledger remembers, with their keys, in little memory. Pure.

A dict takes about 130 bytes for an identity and its key, which is 250 kB for each PBX. So most of
them are packed in two arrays, 16 bytes each, sorted by identity; only those that came lately are in
a dict, until they have become many.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import ItemsView, Iterator, Mapping, ValuesView

_RECENT = 128
"""So many may always be in the dict."""

_SHARE = 16
"""Of those that are packed, one in so many may be in the dict beside them: then packing costs
little for each page, however many there are."""


def packed(identities: Mapping[int, int]) -> Mapping[int, int]:
    """Return *identities* and their keys, all of them packed."""
    return _Packed(*_arrays(identities), {}, len(identities))


def with_added(known: Mapping[int, int], new: Mapping[int, int]) -> Mapping[int, int]:
    """Return *known* with *new*, whose keys take the place of those that it has; *known* stays."""
    return known.with_added(new) if isinstance(known, _Packed) else packed({**known, **new})


def _arrays(identities: Mapping[int, int]) -> tuple[array[int], array[int]]:
    ordered = sorted(identities)
    return array("q", ordered), array("q", map(identities.__getitem__, ordered))


class _Packed(Mapping[int, int]):
    """*recent* over those packed in *identities*, ascending, and *keys*; *length* of them in all.

    Nothing is changed.
    """

    __slots__ = ("_identities", "_keys", "_length", "_recent")

    def __init__(
        self, identities: array[int], keys: array[int], recent: Mapping[int, int], length: int
    ) -> None:
        self._identities = identities
        self._keys = keys
        self._recent = recent
        self._length = length

    def with_added(self, new: Mapping[int, int]) -> _Packed:
        """Return all of these with *new*."""
        recent = {**self._recent, **new}
        length = self._length + sum(each not in self for each in new)
        if len(recent) <= max(_RECENT, len(self._keys) // _SHARE):
            return _Packed(self._identities, self._keys, recent, length)
        return _Packed(*_arrays({**self._as_dict(), **new}), {}, length)

    def __getitem__(self, identity: int) -> int:
        if identity in self._recent:
            return self._recent[identity]
        place = self._place(identity)
        if place is None:
            raise KeyError(identity)
        return self._keys[place]

    def __contains__(self, identity: object) -> bool:
        # Not by an exception, as the base class does it: most rows that are looked for are new.
        if identity in self._recent:
            return True
        return isinstance(identity, int) and self._place(identity) is not None

    def __iter__(self) -> Iterator[int]:
        return iter(self._as_dict())

    def __len__(self) -> int:
        return self._length

    def items(self) -> ItemsView[int, int]:
        """Return the items of one dict, over which it is quicker to go."""
        return self._as_dict().items()

    def values(self) -> ValuesView[int]:
        """Return the keys, likewise."""
        return self._as_dict().values()

    def __repr__(self) -> str:
        return repr(self._as_dict())

    def _as_dict(self) -> dict[int, int]:
        return {**dict(zip(self._identities, self._keys, strict=True)), **self._recent}

    def _place(self, identity: int) -> int | None:
        place = bisect_left(self._identities, identity)
        is_there = place < len(self._identities) and self._identities[place] == identity
        return place if is_there else None
