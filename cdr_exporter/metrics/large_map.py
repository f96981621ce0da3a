"""Large mappings of which a change makes another one, at a cost that goes by the change. Pure.

A copy of a dict with 90,000 series takes longer than counting a page does. So of a large mapping
only what has changed lately is copied, and merged into the rest when it has become much.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

_SMALL = 4_096
"""Up to so many items a plain copy costs next to nothing."""

_SHARE = 16
"""Of the items, one in so many may have changed lately, until they are merged."""


def with_changes(known: Mapping[_K, _V], changes: Mapping[_K, _V]) -> Mapping[_K, _V]:
    """Return *known* with *changes*, which take the place of what it has; *known* stays."""
    if len(known) <= _SMALL:
        return {**known, **changes}
    base, recent = (known._base, known._recent) if isinstance(known, _Layered) else (known, {})
    recent = {**recent, **changes}
    if len(recent) * _SHARE > len(base):
        return {**base, **recent}
    return _Layered(base, recent)


class _Layered(Mapping[_K, _V]):
    """*base* with *recent* over it; neither is changed any more."""

    __slots__ = ("_base", "_new", "_recent")

    def __init__(self, base: Mapping[_K, _V], recent: Mapping[_K, _V]) -> None:
        self._base = base
        self._recent = recent
        self._new = [key for key in recent if key not in base]

    def __getitem__(self, key: _K) -> _V:
        return self._recent[key] if key in self._recent else self._base[key]

    def __contains__(self, key: object) -> bool:
        return key in self._recent or key in self._base

    def __iter__(self) -> Iterator[_K]:
        yield from self._base
        yield from self._new

    def __len__(self) -> int:
        return len(self._base) + len(self._new)

    def items(self) -> ItemsView[_K, _V]:
        """Return the items of one dict, over which it is quicker to go."""
        return {**self._base, **self._recent}.items()

    def __repr__(self) -> str:
        return repr(dict(self.items()))
