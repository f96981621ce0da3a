"""Tokens and logins on record, copied from one place to another.

Rule: what the other place knows already stays. A token there may be newer, and a login that was
refused there counts beside those that are copied.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .attempt_record import joined
from .documents import LOGINS, TOKEN, Contents, Document, Documents, locked

_HOLD_SECONDS, _PATIENCE_SECONDS = 30.0, 5.0


def copy_token(source: Documents, target: Documents, name: str) -> bool:
    """Copy the tokens in the document *name*; say whether there are any. Raises `TryAgain`."""
    content = source.open(TOKEN, name).read()[name]
    if content is None:
        return False

    def edit(there: Contents) -> Contents:
        return {name: content} if there[name] is None else {}

    _change(target.open(TOKEN, name), edit)
    return True


def remove_token(documents: Documents, name: str) -> None:
    """Remove the document *name* with tokens, if there is one. Raises `TryAgain`."""
    _change(documents.open(TOKEN, name), lambda there: {name: None})


def copy_logins(source: Documents, target: Documents, name: str) -> None:
    """Add the logins on record in the document *name* to those there. Raises `TryAgain`."""
    content = source.open(LOGINS, name).read()[name]
    if content is not None:
        known = content
        _change(target.open(LOGINS, name), lambda there: {name: joined(there[name], known)})


def _change(document: Document, edit: Callable[[Contents], Contents]) -> None:
    with locked(document, _HOLD_SECONDS, _PATIENCE_SECONDS, threading.Event()):
        document.change(edit)
