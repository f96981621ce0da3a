"""The client secret, read from where the configuration says: a file, a variable, or itself.

Rule: it is read again before each login, so that a changed secret is used without a restart. What
cannot be a secret is an error before anything is sent: it would count as a failed login on the PBX.

A PBX makes client_id and secret itself, of ASCII letters and digits. So blanks, line ends and byte
order marks around one come from an editor or a shell and are left out, and any other sign within it
means that something else stands there: a label, a typographic dash, another file.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from ..errors import WaitLong
from ..secret import Secret
from ..settings import SecretSource
from ..settings.values import parse_credential
from ..small_files import read_small_file

_SECRET_PATTERN = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{16,}")


def read_secret(source: SecretSource) -> Secret:
    """Return the client secret; raises `WaitLong` when it is missing or cannot be right."""
    if source.file is not None:
        name = f"client_secret_file {_path_for_message(source.file)}"
        return _secret_from(_read_file(source.file, name), name)
    if source.env is not None:
        return _secret_from(
            os.environ.get(source.env, ""), f"client_secret_env {_hide_secret(source.env)}"
        )
    return _secret_from(source.value.reveal() if source.value else "", "client_secret")


def _read_file(path: Path, name: str) -> str:
    content = read_small_file(path)
    if isinstance(content, bytes):
        with suppress(UnicodeDecodeError):
            return content.decode()
        content = "not UTF-8 text; save it as such"
    raise _unusable_secret(f"{name}: {content}")


def _path_for_message(path: Path) -> str:
    return str(path.with_name(_hide_secret(path.name))) if path.name else str(path)


def _hide_secret(name: str) -> str:
    """Return *name*, or a placeholder where it looks like a secret.

    A user may have written the secret itself where the name of a file or variable belongs.
    """
    return "<reads like a secret>" if _SECRET_PATTERN.fullmatch(name) else name


def _secret_from(text: str, name: str) -> Secret:
    try:
        return Secret(parse_credential(text))
    except ValueError as error:
        problem = str(error)
    raise _unusable_secret(f"{name} {problem}")


def _unusable_secret(message: str) -> WaitLong:
    """Return an error with short waits, 30 s to 5 min: reading again costs the PBX nothing."""
    return WaitLong(message, reason="auth", blocked="credentials", first=30.0, most=300.0)
