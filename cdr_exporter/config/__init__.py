"""From `exporter.yml` and the file of `--web.config.file` to settings. The only door to `yaml`.

Rule: a file is accepted as a whole or not at all. The first mistake becomes one `ConfigError` of
one line, which contains no value of the file:

    exporter.yml: pbxs[0].base_url: what is wrong; what to do

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
    mistake     a place in the file, and a mistake with its path

Each setting is declared once, in `settings`; this package knows by name only those that a check
across settings is about. A step that finds a mistake raises a `Mistake` with the path of the value,
`pbxs[0].tls.ca_file`, and the first one ends the reading: syntax first, then keys and single values
in the order of the file, unknown and missing keys of a group before its values, then what does not
go together. The exceptions behind a mistake may quote the file, which may hold the client secret;
so `parse` keeps only the message and raises its `ConfigError` outside the `except`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigError
from ..settings import PBX, Settings
from ..settings.values import is_plaintext, leaves_the_machine
from . import build, reading, yaml_text
from .file_text import read_text
from .mistake import Mistake, Place
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
    return parse(read_text(path, "--config.file"), str(path), path.absolute().parent)


def parse(text: str, where: str, base: Path) -> Settings:
    """Return the settings in *text*; raises `ConfigError`.

    *where* is the file name for messages, *base* the directory where relative paths start.
    """
    try:
        parsed = yaml_text.read_yaml(text, reading.EXPORTER_YML.has_user_keys)
        return build.build_settings(parsed.content, Place(parsed.lines), base)
    except Mistake as mistake:
        problem = str(mistake)
    # Outside the `except`: raised inside, this error would keep the exceptions behind the mistake,
    # which quote the file, as its context.
    raise ConfigError(f"{where}: {problem}")


def warnings(loaded: Settings) -> list[str]:
    """Return a line for each setting that is allowed but unsafe; they are logged at every start."""
    return [
        f"pbx {pbx.name}: {text}"
        for pbx in loaded.pbxs
        for is_unsafe, text in _UNSAFE_SETTINGS
        if is_unsafe(pbx)
    ]
