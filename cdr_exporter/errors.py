"""The errors of this program, one class for each way to deal with them.

Messages say what is wrong, where, and what to do, in lower case and without a full stop. They
never contain a secret, a token, a URL with a query, or a value that a caller or a PBX user chose.
"""

from __future__ import annotations


class ExporterError(Exception):
    """The base of all errors that this program raises on purpose."""


class ConfigError(ExporterError):
    """The configuration or an argument is wrong: the message says where; exit code 2.

    Each mistake is one line of the message.
    """


class StateInUse(ExporterError):
    """Another process uses this PBX's state: exit code 3."""


class StateUnusable(ExporterError):
    """This PBX's state must not be changed: the PBX is not polled; the message has the remedy."""


class StateNotWritten(ExporterError):
    """A commit failed (disk full, read-only): publish nothing new, try again at the next poll."""


class StateReplaced(ExporterError):
    """The state of this PBX is not where it was opened: write all of it anew, from memory."""


class StateInDoubt(ExporterError):
    """The answer to a commit was lost: ask the store, before the next page, whether it is kept.

    Until then publish neither what was to be committed nor anything made from it. What was
    published before stays.
    """


class LeaseLost(ExporterError):
    """Another replica may count for this PBX: write, send and show nothing more of it.

    Nothing was written. To go on, a new lease is needed, and the state has to be loaded anew.
    """


class DatabaseError(ExporterError):
    """The database did not do what was asked, and nothing of it was written.

    *reason* is one of `unreachable`, `refused` (user, password, pg_hba.conf, no such database, a
    read-only standby, an old server), `rights`, `full`, `schema`, `busy` (it, or a lock, took too
    long; too many connections) and `error`.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class CommitInDoubt(DatabaseError):
    """The answer to COMMIT did not come: read again whether it was written."""


class PBXError(ExporterError):
    """A request without a usable answer.

    *reason* is its label on `cdr_exporter_poll_failures_total`, *errcode* the PBX's error code
    where it sent one. *blocked* is the label `reason` of `cdr_exporter_auth_blocked` where the
    PBX refuses us until an administrator acts, else None.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        errcode: int | None = None,
        blocked: str | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.errcode = errcode
        self.blocked = blocked


class TryAgain(PBXError):
    """The network, the server or the answer failed: back off 2 s → 5 min with full jitter.

    *retry_after* is the wait that the server asked for, in seconds; None where it did not.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        errcode: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, reason=reason, errcode=errcode)
        self.retry_after = retry_after


class PageTooLarge(TryAgain):
    """The answer to a query of the CDR list is too large; one that asks for less may not be."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="too_large")


class WaitLong(PBXError):
    """Only a person can remove the cause: wait *first* seconds, doubling up to *most* seconds."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        first: float,
        most: float,
        errcode: int | None = None,
        blocked: str | None = None,
    ) -> None:
        super().__init__(message, reason=reason, errcode=errcode, blocked=blocked)
        self.first = first
        self.most = most
