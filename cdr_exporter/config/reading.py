"""From the plain values of the file to the values of the settings that are written in it.

Rule: nothing here knows a setting by name. What may be written where is said by the kinds in
`settings`, and a key that nothing declares is refused as unknown.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from ..settings import Overridable, Settings
from ..settings.kinds import Group, Kind, ListOf, Setting, Table, Value, group_of
from .mistake import BROKEN, Mistakes, Place, is_broken

T = TypeVar("T")

_MOST_ENTRIES = 500
"""In one table: each label is one more series per outcome, for ever."""

_TYPE_WORDS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number with a fraction",
    bool: "a yes or no",
    date: "a date",
    datetime: "a date",
    list: "a list",
    dict: "a group of keys",
}
_CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what `LoadCredential=` hands over: systemd.exec(5)."""

_REMEDIES: dict[type, str] = {
    str: "put it in quotes",
    int: "write it without quotes, point or unit",
    bool: "write true or false, without quotes",
    list: "write one entry after another, each after a hyphen",
    dict: "write its keys below it, indented",
}

EXAMPLE = "begin with an example: cdr-exporter dashboards --output DIR writes one"

_top = group_of(Settings)
FILE = Group({**group_of(Overridable).settings, **_top.settings}, _top.make)
"""The file as a whole."""


class Form:
    """What a file may say, by the place in it: *root* is the file as a whole."""

    def __init__(self, root: Group) -> None:
        self.root = root
        self.kinds = dict(_kinds(root))

    def has_user_keys(self, path: str) -> bool:
        """Return whether the keys of what is at *path* are chosen by the user."""
        return isinstance(self._at(path), Table)

    def has_lines(self, path: str) -> bool:
        """Return whether the text at *path* may have several lines."""
        kind = self._at(path)
        return isinstance(kind, Value) and kind.has_lines

    def _at(self, path: str) -> Kind | None:
        return self.kinds.get(re.sub(r"\[\d+\]", "[]", path))


def _kinds(kind: Kind, path: str = "") -> Iterator[tuple[str, Kind]]:
    """Yield *kind* and each kind in it with its path, without the numbers of list items."""
    yield path, kind
    if isinstance(kind, ListOf):
        yield from _kinds(kind.item, f"{path}[]")
    if isinstance(kind, Group):
        for key, setting in kind.settings.items():
            yield from _kinds(setting.kind, f"{path}.{key}".lstrip("."))


EXPORTER_YML = Form(FILE)


def read_file(content: object, place: Place, base: Path, mistakes: Mistakes) -> dict[str, Any]:
    """Return the values that are written in the file, by key; raises `Mistake`.

    Mistakes in single values are noted in *mistakes*. A key that is not written is left out, in
    groups too. Relative paths start at *base*.
    """
    if content is None:
        raise place.mistake(f"is empty; {EXAMPLE}")
    found: dict[str, Any] = Reader(EXPORTER_YML, base, mistakes).read(FILE, content, place)
    return found


class Reader:
    """Reads what is written in a file of that *form*; relative paths start at *base*."""

    def __init__(self, form: Form, base: Path, mistakes: Mistakes) -> None:
        self._form = form
        self._base = base
        self._attempt = mistakes.attempt

    def read(self, kind: Kind, written: Any, place: Place) -> Any:
        """Return the value of what is *written* at *place*; raises `Mistake`.

        What is wrong within it is noted and `BROKEN`.
        """
        if written is BROKEN:
            return BROKEN
        match kind:
            case Value():
                written = str(written) if type(written) in kind.also else written
                _refuse_other_type(kind.written, written, place, kind.remedy)
                value = _converted(kind.convert, written, place)
                return self._resolved(value, place) if isinstance(value, Path) else value
            case ListOf():
                return self._list(kind, written, place)
            case Table():
                return self._table(kind, written, place)
            case Group():
                return self._group(kind, written, place)

    def _resolved(self, path: Path, place: Place) -> Path:
        """Return where *path* is: what it begins with may be the directory of systemd's secrets."""
        first, *rest = path.parts or ("",)
        if first != f"${_CREDENTIALS_VARIABLE}":
            return self._base / path
        directory = os.environ.get(_CREDENTIALS_VARIABLE)
        if not directory:
            raise place.mistake(
                f"begins with {first}, which systemd sets for a service with LoadCredential=; "
                "elsewhere set it to the directory of the secrets"
            )
        return Path(directory, *rest)

    def _list(self, kind: ListOf, written: Any, place: Place) -> tuple[Any, ...]:
        _refuse_other_type(list, written, place)
        items = [
            self._attempt(self.read, kind.item, item, place.item(n))
            for n, item in enumerate(written)
        ]
        # What is said of the items together may not be so of those without a mistake.
        return tuple(items) if is_broken(items) else _converted(kind.convert, items, place)

    def _table(self, kind: Table, written: Any, place: Place) -> Mapping[str, Any]:
        _refuse_other_type(dict, written, place)
        if len(written) > _MOST_ENTRIES:
            raise place.mistake(
                f"has more than {_MOST_ENTRIES} entries; keep those worth a series each"
            )
        found = {}
        for key, entry in _with_known_keys(written):
            found[key] = self._attempt(self._entry, kind, key, entry, place.key(key))
        return MappingProxyType(found)

    def _entry(self, kind: Table, key: str, entry: Any, place: Place) -> Any:
        value = self.read(kind.entry, entry, place)
        _converted(kind.check_key, key, place)
        return value

    def _group(self, kind: Group, written: Any, place: Place) -> dict[str, Any]:
        _refuse_other_type(dict, written, place)
        unknown = [key for key, _ in _with_known_keys(written) if key not in kind.settings]
        for key in unknown:
            self._attempt(self._refuse_unknown, key, kind, place)
        for key in _missing(written, unknown, kind):
            self._attempt(_refuse_missing, kind.settings[key], place.key(key))
        return {
            key: self._attempt(self.read, kind.settings[key].kind, value, place.key(key))
            for key, value in written.items()
            if key in kind.settings
        }

    def _refuse_unknown(self, key: str, group: Group, place: Place) -> None:
        raise place.key(key).mistake(f"is an unknown key; {self._suggestion(key, group)}")

    def _suggestion(self, key: str, group: Group) -> str:
        """Return what to write instead of the unknown *key* in *group*."""
        for path, other in self._form.kinds.items():
            if isinstance(other, Group) and key in other.settings:
                return f"it belongs {f'in {path}' if path else 'at the top of the file'}"
        near = _nearest(key, group)
        return f"did you mean {near}?" if near else f"the keys here are {', '.join(group.settings)}"


def _with_known_keys(written: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in written.items() if key is not BROKEN]


def _missing(written: Mapping[str, Any], unknown: Iterable[str], group: Group) -> list[str]:
    """Return the keys that have to be written, and are not, nor misspelt."""
    if BROKEN in written:
        return []
    meant = {_nearest(key, group) for key in unknown}
    required = [key for key, setting in group.settings.items() if setting.is_required]
    return [key for key in required if key not in written and key not in meant]


def _refuse_missing(setting: Setting, place: Place) -> None:
    raise place.mistake(f"is missing; {setting.missing}")


def _refuse_other_type(expected: type, written: object, place: Place, remedy: str = "") -> None:
    if written is None:
        raise place.mistake("is empty; give it a value or remove the key")
    if type(written) is not expected:
        found, wanted = (_TYPE_WORDS[kind] for kind in (type(written), expected))
        remedy = remedy or _REMEDIES[expected]
        raise place.mistake(f"is {found} where {wanted} is expected; {remedy}")


def _converted(convert: Callable[[Any], T], written: object, place: Place) -> T:
    try:
        return convert(written)
    except ValueError as error:
        raise place.mistake(str(error)) from error


def _nearest(key: str, group: Group) -> str | None:
    """Return the key of *group* that is most like the unknown *key*, if one is."""
    near = difflib.get_close_matches(key.lower().replace("-", "_"), group.settings, n=1)
    return near[0] if near else None


def completed(group: Group, *sources: Mapping[str, Any]) -> Any:
    """Return what *group* makes of the *sources*: of each setting the first value, or the default.

    Groups within it are merged in the same way.
    """
    merged = {
        key: _completed_setting(setting, [source[key] for source in sources if key in source])
        for key, setting in group.settings.items()
    }
    return group.make(merged)


def _completed_setting(setting: Setting, written: list[Any]) -> Any:
    if isinstance(setting.kind, Group):
        return completed(setting.kind, *written)
    return written[0] if written else setting.default
