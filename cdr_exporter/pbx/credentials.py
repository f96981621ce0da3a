"""The client secret, read anew from where the user keeps it.

Rule: it is read before each login, so that a rotated secret is used without a restart, and an
unusable one is an error before the PBX hears of it: an empty password would be a failed login.
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
    """Return the secret without its one trailing newline; raises `WaitLong` when there is none."""
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
    """Return *name*, unless somebody wrote the secret itself where its place is asked for."""
    return "<reads like a secret>" if _SECRET_PATTERN.fullmatch(name) else name


def _secret_from(text: str, name: str) -> Secret:
    # Editors and `echo` end a file with a newline; a second one would be the secret's own.
    secret = text.removesuffix("\n")
    if not secret:
        raise _unusable_secret(f"{name} is empty or not set")
    return Secret(secret)


def _unusable_secret(message: str) -> WaitLong:
    """Look again soon: it costs the PBX nothing."""
    return WaitLong(message, reason="auth", blocked="credentials", first=30.0, most=300.0)
