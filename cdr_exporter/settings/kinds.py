"""What a setting may be: a single value, a list, a table or a group of further settings.

Rule: a setting is declared in one place, at its field in `settings`, by a `Setting` with one of
these kinds. `config` reads `exporter.yml` by the kinds, and `docs/write_settings.py` writes the
example file and the table in the docs by them; neither knows a setting by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, TypeAlias, get_type_hints

from ..secret import Secret
from . import values
from .durations import format_duration, parse_duration

NO_DEFAULT = object()
"""In place of the default of a setting that has none."""


@dataclass(frozen=True, slots=True)
class Value:
    """One text, whole number, or yes or no.

    *written* is the type it has in YAML. *convert* returns what is meant, or raises a `ValueError`
    of the form `what is wrong; what to do`. *remedy* is what to write instead of another type,
    where the type alone does not say it. *limits* are the values allowed, in words. *show* writes
    a value as `exporter.yml` does. A value of a type in *also* is taken as the text it was written
    as. One with *has_lines* may be a text of several lines.
    """

    written: type
    convert: Callable[[Any], Any]
    remedy: str = ""
    limits: str = ""
    show: Callable[[Any], str] = str
    also: tuple[type, ...] = ()
    has_lines: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; *convert* is given all its items and returns what is meant by them together."""

    item: Kind
    convert: Callable[[Any], tuple[Any, ...]] = tuple


@dataclass(frozen=True, slots=True)
class Table:
    """Keys that the user chooses, each with an *entry*; *check_key* raises a `ValueError`."""

    check_key: Callable[[str], object]
    entry: Value | ListOf


@dataclass(frozen=True, slots=True)
class Group:
    """Further settings, by their key; *make* is given a value for each of them, by key."""

    settings: Mapping[str, Setting]
    make: Callable[[Mapping[str, Any]], Any]


Kind: TypeAlias = Value | ListOf | Table | Group


@dataclass(frozen=True, slots=True)
class Setting:
    """The declaration of a setting: what may be written, and its text for the docs.

    In *text* `{limits}` stands for those of the kind. *example* is what `exporter.yml` shows in the
    entry of a PBX, as YAML. *missing* is what to do where a setting without default is not
    written. *key* is its key if it is not the name of the field. The default is that of the field,
    from where `declared` takes it.
    """

    kind: Kind
    text: str = ""
    example: str = ""
    missing: str = ""
    key: str = ""
    default: Any = NO_DEFAULT

    @property
    def is_required(self) -> bool:
        """Whether it has to be written."""
        return self.default is NO_DEFAULT


BESIDE = "beside"
"""Marks a field whose settings are written beside those of its group, without a key of its own."""


def declared(kind: type) -> dict[str, Setting]:
    """Return the settings that the fields of the dataclass *kind* declare, by key, in order."""
    return dict(group_of(kind).settings)


@cache
def group_of(kind: type) -> Group:
    """Return the group of the settings that the dataclass *kind* declares."""
    settings: dict[str, Setting] = {}
    sources: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        annotated = hints[field.name]
        declaration = annotated.__metadata__[0]
        if declaration is BESIDE:
            inner = group_of(annotated.__origin__)
            settings |= inner.settings
            sources[field.name] = inner.make
        else:
            key = declaration.key or field.name
            settings[key] = dataclasses.replace(declaration, default=_default_of(field))
            sources[field.name] = itemgetter(key)
    return Group(
        settings, lambda written: kind(**{name: of(written) for name, of in sources.items()})
    )


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return NO_DEFAULT if field.default is dataclasses.MISSING else field.default


def duration(least: str, most: str) -> Value:
    """Return the kind of a duration in that range: written as `30s`, in seconds."""
    lowest, highest = parse_duration(least), parse_duration(most)

    def convert(text: str) -> float:
        seconds = parse_duration(text)
        if not lowest <= seconds <= highest:
            raise ValueError(f"is out of range; write a duration from {least} to {most}")
        return seconds

    return Value(
        str,
        convert,
        remedy="write it with its unit, 30s for thirty seconds",
        limits=f"{least} to {most}",
        show=format_duration,
    )


def one_of(noun: str, *names: str) -> Value:
    """Return the kind of a *noun* that is one of these names."""
    remedy = f"write {' or '.join(names)}"

    def convert(text: str) -> str:
        if text not in names:
            raise ValueError(f"is not a known {noun}; {remedy}")
        return text

    return Value(str, convert, remedy=remedy, limits=" or ".join(names))


def whole_number(least: int, remedy: str) -> Value:
    """Return the kind of a whole number of at least *least*."""

    def convert(number: int) -> int:
        if number < least:
            raise ValueError(f"is less than {least}; {remedy}")
        return number

    return Value(int, convert, limits=f"{least} or more")


def text(check: Callable[[str], Any] = str) -> Value:
    """Return the kind of a text that *check* converts."""
    return Value(str, check)


def _show_quoted(text: str) -> str:
    return f'"{text}"'


def _show_range(ends: tuple[str, str]) -> str:
    return _show_quoted("-".join(dict.fromkeys(ends)))


SECRET = Value(str, Secret)
YES_NO = Value(bool, bool, show=lambda yes: str(yes).lower())
PATH = Value(str, values.parse_path, show=lambda path: f"./{path}")
URL_FILE = Value(str, values.parse_url_file)
NUMBER = Value(str, values.parse_number, show=_show_quoted)
NUMBER_RANGES = ListOf(Value(str, values.parse_number_range, show=_show_range))
BOUNDS = ListOf(Value(int, int), values.parse_buckets)
WAIT_BOUNDS = ListOf(Value(int, int), values.parse_wait_buckets)
LABEL_OF_NUMBER = Table(values.parse_number, text(values.parse_label))
PREFIXES_OF_LABEL = Table(values.parse_label, ListOf(NUMBER, values.parse_prefixes))
