"""The text of a configuration file as plain values: dicts, lists, text and numbers.

Rule: the values are exactly what is written. A key that is written twice (PyYAML silently keeps
the last), an alias, a merge key and a tag are refused. Without aliases no file expands to more
than its own size.

PyYAML's messages quote the file, so only their position is used, and our own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml
from yaml.constructor import SafeConstructor

from .mistake import BROKEN, Mistake, Mistakes, join_path, key_for_message

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_PLAIN_TAGS = {
    f"{_TAG}{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")
}
# Without the characters that would make a key ambiguous in msgspec's message, from which `schema`
# reads it.
_KEY = re.compile(r"[^\s:`]+")

# How PyYAML's description of a problem starts, and what to do about its most frequent cause.
_REMEDIES = (
    ("mapping values are not allowed", 'check the indentation, and quote text that holds ": "'),
    ("could not find expected ':'", "write a colon and a space after each key"),
    ("found undefined alias", 'quote text that starts with "*"'),
    ("found character '\\t'", "indent with spaces, not with tabs"),
    ("found character", "quote text that starts with a special character"),
    ("found unexpected end of stream", "close the quotation mark"),
    ("found unknown escape character", "use single quotes, or write \\\\ for a backslash"),
    ("but found another document", "keep one document and remove the others, from --- on"),
)
_REMEDY = "check indentation, colons, brackets and quotation marks"
_NOT_YAML = "is not valid YAML here"


@dataclass(frozen=True, slots=True)
class ParsedYAML:
    """*content* is the plain values of the file, *lines* the line of each key.

    The key of *lines* is the path of the group and the key within it; lines count from 1.
    """

    content: object
    lines: dict[tuple[str, str], int] = field(default_factory=dict)


def read_yaml(
    text: str,
    mistakes: Mistakes,
    has_user_keys: Callable[[str], bool],
    has_lines: Callable[[str], bool] = lambda path: False,
) -> ParsedYAML:
    """Return the plain values of *text*; what is refused is noted in *mistakes*, and `BROKEN`.

    *has_user_keys* returns for the path of a group whether its keys are chosen by the user, and
    so may be any text; *has_lines* for that of a text whether it may have several lines.
    """
    root = mistakes.attempt(_composed, text)
    reader = _YAMLReader(mistakes, has_user_keys, has_lines)
    return ParsedYAML(BROKEN) if root is BROKEN else reader.read(root)


def _composed(text: str) -> yaml.Node | None:
    """Return the nodes of *text*, None where it is empty; raises `Mistake` for what is no YAML."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_mistake(error) from error
    except yaml.reader.ReaderError as error:
        where = _position(text.count("\n", 0, error.position), None)
        raise Mistake(where, "holds a control character; remove it") from error
    except RecursionError as error:
        raise _too_deep() from error


def _too_deep() -> Mistake:
    return Mistake("", "is nested too deeply; check its brackets and its indentation")


def _syntax_mistake(error: yaml.MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or ""
    remedy = next((hint for start, hint in _REMEDIES if problem.startswith(start)), _REMEDY)
    return Mistake(_position(mark.line, mark.column) if mark else "", f"{_NOT_YAML}; {remedy}")


def _position(line: int, column: int | None) -> str:
    return f"line {line + 1}" + ("" if column is None else f", column {column + 1}")


class _YAMLReader:
    """Turns the nodes of PyYAML into values, and keeps the path of each for messages."""

    def __init__(
        self,
        mistakes: Mistakes,
        has_user_keys: Callable[[str], bool],
        has_lines: Callable[[str], bool],
    ) -> None:
        self._attempt = mistakes.attempt
        self._has_user_keys = has_user_keys
        self._has_lines = has_lines
        self._lines: dict[tuple[str, str], int] = {}
        self._seen: set[int] = set()
        self._scalars = SafeConstructor()

    def read(self, root: yaml.Node | None) -> ParsedYAML:
        content = None if root is None else self._attempt(self._root, root)
        return ParsedYAML(content, self._lines)

    def _root(self, root: yaml.Node) -> object:
        try:
            return self._value(root, "")
        except RecursionError as error:
            raise _too_deep() from error

    def _value(self, node: yaml.Node, path: str) -> object:
        self._refuse_alias_merge_and_tag(node, path)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [
                self._attempt(self._value, item, f"{path}[{n}]")
                for n, item in enumerate(node.value)
            ]
        return self._scalar(node, path)

    def _refuse_alias_merge_and_tag(self, node: yaml.Node, path: str) -> None:
        if id(node) in self._seen:
            raise Mistake(path, 'is a YAML alias; write the value out, or quote text after "*"')
        self._seen.add(id(node))
        if node.tag == _MERGE:
            raise Mistake(path, "has the merge key <<; write the keys out")
        if node.tag not in _PLAIN_TAGS:
            raise Mistake(path, "has a YAML tag; remove it, or put the text in quotes")

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._attempt(self._key, key_node, path, line)
            if key is BROKEN:
                found[BROKEN] = BROKEN
                continue
            first = self._lines.setdefault((path, key), line)
            here = join_path(path, key_for_message(key, first))
            if key in found:
                self._attempt(_refuse_twice, here, first, line)
            else:
                found[key] = self._attempt(self._value, value_node, here)
        return found

    def _key(self, node: yaml.Node, path: str, line: int) -> str:
        key = self._value(node, join_path(path, key_for_message("", line)))
        if not isinstance(key, str):
            raise Mistake(path, f"the key on line {line} is not text; put it in quotes")
        if not self._has_user_keys(path) and not _KEY.fullmatch(key):
            remedy = "write a space after its colon"
            raise Mistake(path, f"the key on line {line} has characters no key has; {remedy}")
        return key

    def _scalar(self, node: yaml.Node, path: str) -> object:
        try:
            value = self._scalars.construct_object(node, deep=True)
        except (ValueError, LookupError, AttributeError, yaml.YAMLError) as error:
            # To YAML 2026-13-45 looks like a date and 0x_ like a number, but neither is one.
            raise Mistake(path, "is text that YAML misreads; put it in quotes") from error
        if isinstance(value, str):
            _refuse_odd_text(value.replace("\n", "") if self._has_lines(path) else value, path)
        return value


def _refuse_twice(path: str, first: int, again: int) -> None:
    raise Mistake(path, f"is written on line {first} and on line {again}; keep one")


def _refuse_odd_text(text: str, path: str) -> None:
    if not text.strip():
        raise Mistake(path, "is empty; give it a value or remove the key")
    if not text.isprintable():
        raise Mistake(path, "holds a line break or an invisible character; remove it")
    if text != text.strip():
        raise Mistake(path, "starts or ends with a space; remove it")
