"""`exporter.yml` to settings.

    text → yaml_text.read_yaml → schema.convert → build.build_settings → settings.Settings

Rule: a file is taken whole or not at all. The first mistake ends in one `ConfigError` of one line,
`exporter.yml: pbxs[0].base_url: what is wrong; what to do`, which holds no value of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigError
from ..settings import PBX, Settings
from . import build, schema, values, yaml_text
from .mistake import Mistake

_MAX_BYTES = 1024 * 1024
"""Bytes; a thousand PBXs need a quarter of it."""

_UNREADABLE: dict[type[OSError], str] = {
    FileNotFoundError: "there is no such file; write it, or name another with --config.file",
    IsADirectoryError: "is a directory; name the file in it with --config.file",
    PermissionError: "may not be read; give the user this program runs as the right to",
}

_UNSAFE_SETTINGS: tuple[tuple[Callable[[PBX], bool], str], ...] = (
    (
        lambda pbx: pbx.tls.insecure_skip_verify,
        "tls.insecure_skip_verify takes any certificate, so whoever is in between can read the "
        "client secret; set tls.fingerprint_sha256 or tls.ca_file instead",
    ),
    (
        lambda pbx: values.is_plaintext(pbx.base_url) and values.leaves_the_machine(pbx.base_url),
        "base_url is http:// to another machine, so the client secret travels in clear text; "
        "use https:// instead",
    ),
)


def load(path: Path) -> Settings:
    """Read *path*, whose directory is where relative paths start; raises `ConfigError`."""
    return parse(_read_text(path), str(path), path.absolute().parent)


def parse(text: str, where: str, base: Path) -> Settings:
    """Take *text* for the file *where*, relative paths from *base*; raises `ConfigError`."""
    try:
        parsed = yaml_text.read_yaml(text, schema.has_user_keys)
        return build.build_settings(schema.convert(parsed), base, parsed.lines)
    except Mistake as mistake:
        problem = str(mistake)
    # Raised out here: the exceptions behind a mistake quote the file, and raised inside the
    # `except` this one would carry them along into a traceback.
    raise ConfigError(f"{where}: {problem}")


def warnings(loaded: Settings) -> list[str]:
    """Return what is allowed and still unwise, a line each, for every start's log."""
    return [
        f"pbx {pbx.name}: {text}"
        for pbx in loaded.pbxs
        for is_unsafe, text in _UNSAFE_SETTINGS
        if is_unsafe(pbx)
    ]


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        problem = _UNREADABLE.get(type(error), f"cannot be read; {error.strerror}")
        raise ConfigError(f"{path}: {problem}") from error
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path}: is larger than 1 MiB; name the right file with --config.file")
    return _decode(content, path)


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    # Raised out here: that error carries the file's bytes.
    raise ConfigError(f"{path}: line {line}: is not UTF-8; save the file as UTF-8")
