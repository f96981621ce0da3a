"""From `exporter.yml` and the file of `--web.config.file` to settings. The only door to `yaml`.

Rule: a file is accepted as a whole or not at all. Its mistakes become one `ConfigError` with a line
for each, which contains no value of the file but the name of the PBX:

    exporter.yml: pbxs[hq].base_url: what is wrong; what to do

How it works
------------
The text goes through three steps. Each knows less about the text and more about the meaning:

    text → yaml_text.read_yaml → ParsedYAML          plain values, and the line of each key
         → reading.read_file                         the value of each setting that is written
         → build.build_settings → settings.Settings  merged: PBX over file over default

    yaml_text   YAML to plain values; duplicate keys, aliases, merges and tags are refused
    reading     unknown keys, missing keys, types and single values, as `settings` declares them
    web_config  the same for the file of `--web.config.file`
    build       which of several places a setting is taken from; checks across settings
    mistake     a place in the file, a mistake with its path, and all mistakes that were found

Each setting is declared once, in `settings`; this package knows by name only those that a check
across settings is about. A step that finds a mistake raises a `Mistake` with the path of the value,
`pbxs[0].tls.ca_file`. It is noted, and the reading goes on, so that all are told at once; but text
that is no YAML ends it, and what does not go together is looked for where the single values are
right. The exceptions behind a mistake may quote the file, which may hold the client secret; so
only the messages are kept, and the `ConfigError` is raised outside of any `except`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..settings import PBX, Settings
from ..settings.values import is_plaintext, leaves_the_machine
from . import build, reading, yaml_text
from .file_text import read_text
from .mistake import Mistakes, Place
from .web_config import load_web

__all__ = ["load", "load_web", "parse", "warnings"]

_UNSAFE_SETTINGS: tuple[tuple[Callable[[PBX], bool], str], ...] = (
    (
        lambda pbx: pbx.tls.insecure_skip_verify,
        "tls.insecure_skip_verify accepts any certificate, so a man in the middle can read the "
        "client secret; set tls.fingerprint_sha256 or tls.ca_file instead",
    ),
    (
        lambda pbx: is_plaintext(pbx.base_url) and leaves_the_machine(pbx.base_url),
        "base_url is http:// to another machine, so the client secret travels in clear text; "
        "use https:// instead",
    ),
)


def load(path: Path) -> Settings:
    """Read the file *path*; raises `ConfigError`. Relative paths in it start at its directory."""
    text = read_text(path, "--config.file", reading.EXAMPLE)
    return parse(text, str(path), path.absolute().parent)


def parse(text: str, where: str, base: Path) -> Settings:
    """Return the settings in *text*; raises `ConfigError`.

    *where* is the file name for messages, *base* the directory where relative paths start.
    """
    mistakes, form = Mistakes(), reading.EXPORTER_YML
    parsed = yaml_text.read_yaml(text, mistakes, form.has_user_keys)
    place = Place(parsed.lines)
    found: Settings = mistakes.attempt(build.build_settings, parsed.content, place, base, mistakes)
    if mistakes.noted:
        raise mistakes.as_error(where, parsed.lines, parsed.content)
    return found


def warnings(loaded: Settings) -> list[str]:
    """Return a line for each setting that is allowed but unsafe; they are logged at every start."""
    return [
        f"pbx {pbx.name}: {text}"
        for pbx in loaded.pbxs
        for is_unsafe, text in _UNSAFE_SETTINGS
        if is_unsafe(pbx)
    ]
