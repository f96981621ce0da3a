"""Writes what is said of settings anew, from their declarations: `make settings`.

That is `exporter.yml`, but for the words at its head, and the last section of
`docs/configuration.md`. A test compares both with what is declared in `cdr_exporter/settings`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cdr_exporter.config.reading import FILE
from cdr_exporter.settings import PBX, Overridable, Settings
from cdr_exporter.settings.kinds import Group, Kind, ListOf, Setting, Table, Value, declared

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "exporter.yml"
PAGE = ROOT / "docs/configuration.md"
HEADING = "## All settings\n"

_WIDTH = 100 - len("# ")
_ENTRY_WIDTH = _WIDTH - len("    ")
_SHOWN = "client_secret_file"
"""The setting that is not required and yet switched on, since one of three has to be."""


def main() -> None:
    """Write both."""
    EXAMPLE.write_text(example(EXAMPLE.read_text("utf-8")), "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")


def example(old: str) -> str:
    """Return `exporter.yml` with the head of its *old* text."""
    head = old.partition("\n\n")[0]
    blocks = [*_top_blocks(), "pbxs:\n" + "\n\n".join(_entry_blocks())]
    return "\n\n".join([head, *blocks]) + "\n"


def page(old: str) -> str:
    """Return the page *old* with its last section written anew."""
    return old.partition(HEADING)[0] + HEADING + "\n" + "\n\n".join(_tables()) + "\n"


def _top_blocks() -> Iterator[str]:
    """Yield each setting of the top of the file, switched off, with its default if it has one."""
    for key, setting in FILE.settings.items():
        if key != "pbxs":
            yield "\n".join([*_comment(setting, _WIDTH), *_with_default(key, setting)])


def _with_default(key: str, setting: Setting) -> list[str]:
    if isinstance(setting.kind, Group):
        inner = setting.kind.settings.items()
        return [f"#{key}:", *(f"#  {each}: {_yaml(it.kind, it.default)}" for each, it in inner)]
    shown = setting.example if setting.default is None else _yaml(setting.kind, setting.default)
    return [f"#{key}: {shown}"]


def _entry_blocks() -> Iterator[str]:
    """Yield each setting of the entry of a PBX, with its example."""
    own = {key: it for key, it in declared(PBX).items() if key not in declared(Overridable)}
    for number, block in enumerate(_joined(own)):
        lines = [line for key, it in block.items() for line in _in_entry(key, it)]
        text = textwrap.indent("\n".join(lines), "    ")
        yield text if number else text.replace("    name", "  - name")
    words = ["# Most settings from the top of the file can be set differently for one PBX."]
    overrides = [f"#{key}: {setting.example}" for key, setting in declared(Overridable).items()]
    yield textwrap.indent("\n".join(words + overrides), "    ")


def _joined(settings: Mapping[str, Setting]) -> list[dict[str, Setting]]:
    """Return *settings* in parts; one without a text belongs to the text before it."""
    parts: list[dict[str, Setting]] = []
    for key, setting in settings.items():
        if setting.text:
            parts.append({})
        parts[-1][key] = setting
    return parts


def _in_entry(key: str, setting: Setting) -> Iterator[str]:
    yield from _comment(setting, _ENTRY_WIDTH)
    if isinstance(setting.kind, Group):
        for inner, it in setting.kind.settings.items():
            yield from _comment(it, _ENTRY_WIDTH, f'"{inner}": ')
            yield f"#{key}: {{{inner}: {it.example}}}"
    else:
        yield f"{'' if setting.is_required or key == _SHOWN else '#'}{key}: {setting.example}"


def _comment(setting: Setting, width: int, before: str = "") -> list[str]:
    """Return the text as comment; a line of it that is indented stays as it is."""
    lines: list[str] = []
    for part in f"{before}{_text(setting)}".splitlines() if setting.text else ():
        lines += [part] if part.startswith(" ") else textwrap.wrap(part, width)
    return [f"# {line}" for line in lines]


def _text(setting: Setting) -> str:
    limits = setting.kind.limits if isinstance(setting.kind, Value) else ""
    return setting.text.replace("{limits}", limits)


def _yaml(kind: Kind, value: Any) -> str:
    if isinstance(kind, ListOf):
        return f"[{', '.join(_yaml(kind.item, item) for item in value)}]"
    assert isinstance(kind, Value)  # noqa: S101 - for mypy; tables have no default to show
    return kind.show(value)


def _tables() -> Iterator[str]:
    own = {key: it for key, it in declared(PBX).items() if key not in declared(Overridable)}
    top = {key: it for key, it in declared(Settings).items() if key != "pbxs"}
    yield (
        "What each does, and examples, are in [exporter.yml](../exporter.yml). This table and that"
        " file are written by `make settings`."
    )
    yield from (
        "At the top of the file, or for one PBX in its entry:",
        _table(declared(Overridable)),
    )
    yield from ("At the top of the file only:", _table(top))
    yield from ("In the entry of a PBX only:", _table(own))


def _table(settings: Mapping[str, Setting]) -> str:
    head = ["| setting | default | values | what it says |", "|---|---|---|---|"]
    return "\n".join(head + [_row(part) for part in _joined(_with_inner(settings))])


def _with_inner(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """Return *settings* with those within a group, where these have texts of their own."""
    found = {}
    for key, setting in settings.items():
        found[key] = setting
        if isinstance(setting.kind, Group):
            inner = setting.kind.settings.items()
            found |= {f"{key}.{each}": it for each, it in inner if it.text}
    return found


def _row(part: Mapping[str, Setting]) -> str:
    setting = next(iter(part.values()))
    keys = ", ".join(f"`{key}`" for key in part)
    limits = setting.kind.limits if isinstance(setting.kind, Value) else ""
    words = setting.text.replace("; {limits}", "").partition("\n")[0]
    sentence = words.partition(". ")[0].rstrip(".:")
    return f"| {keys} | {_default(setting)} | {limits} | {sentence} |"


def _default(setting: Setting) -> str:
    if setting.is_required:
        return "has to be written"
    if isinstance(setting.kind, Group):
        has_rows = any(it.text for it in setting.kind.settings.values())
        return "" if has_rows else "in exporter.yml"
    if setting.default is None or setting.default == () or isinstance(setting.kind, Table):
        return "none"
    return f"`{_yaml(setting.kind, setting.default)}`"


if __name__ == "__main__":
    main()
