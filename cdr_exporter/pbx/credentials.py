"""The client secret, read from where the configuration says: a file, a variable, or itself.

Rule: it is read again before each login, so that a changed secret is used without a restart. A
secret that is missing or empty is an error before anything is sent: an empty password would count
as a failed login on the PBX.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import WaitLong
from ..secret import Secret
from ..settings import SecretSource

_SECRET_PATTERN = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{16,}")


def read_secret(source: SecretSource) -> Secret:
    """Return the client secret; raises `WaitLong` when it is missing, empty or not UTF-8.

    One newline at the end is not part of the secret.
    """
    if source.file is not None:
        return _secret_from(
            _read_file(source.file), f"client_secret_file {_path_for_message(source.file)}"
        )
    if source.env is not None:
        return _secret_from(
            os.environ.get(source.env, ""), f"client_secret_env {_hide_secret(source.env)}"
        )
    return _secret_from(source.value.reveal() if source.value else "", "client_secret")


def _read_file(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        problem = "not text"
    except OSError as error:
        problem = (error.strerror or "not readable").lower()
    raise _unusable_secret(f"client_secret_file {_path_for_message(path)}: {problem}")


def _path_for_message(path: Path) -> str:
    return str(path.with_name(_hide_secret(path.name))) if path.name else str(path)


def _hide_secret(name: str) -> str:
    """Return *name*, or a placeholder where it looks like a secret.

    A user may have written the secret itself where the name of a file or variable belongs.
    """
    return "<reads like a secret>" if _SECRET_PATTERN.fullmatch(name) else name


def _secret_from(text: str, name: str) -> Secret:
    # Editors and `echo` end a file with one newline; any further one belongs to the secret.
    secret = text.removesuffix("\n")
    if not secret:
        raise _unusable_secret(f"{name} is empty or not set")
    return Secret(secret)


def _unusable_secret(message: str) -> WaitLong:
    """Return an error with short waits, 30 s to 5 min: reading again costs the PBX nothing."""
    return WaitLong(message, reason="auth", blocked="credentials", first=30.0, most=300.0)
