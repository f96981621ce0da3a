"""What can go wrong, sorted by what to do about it.

Messages say what, where and what to do, in lower case and without a final stop. They never
hold a secret, a token, a URL with a query, or a value that a caller or a PBX user chose.
"""

from __future__ import annotations


class ExporterError(Exception):
    """Anything this program raises on purpose."""


class ConfigError(ExporterError):
    """The configuration or an argument is wrong: say where, exit 2."""


class StateInUse(ExporterError):
    """Another process owns this PBX's state: exit 3."""


class StateUnusable(ExporterError):
    """This PBX's state must not be touched by us: do not poll it, name the remedy."""


class StateNotWritten(ExporterError):
    """A commit failed (disk full, read-only): publish nothing new, try at the next poll."""


class PBXError(ExporterError):
    """A request that brought no usable answer; *reason* is its label on the failure counter.

    *errcode* is the PBX's own code where it gave one. *blocked* names what keeps us out (a
    `reason` of `cdr_exporter_auth_blocked`) where an administrator has to act.
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
    """Network, server or answer trouble: back off 2 s → 5 min with full jitter.

    *retry_after* (seconds) is what the server asked for, where it did.
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


class WaitLong(PBXError):
    """Only a person can mend it: wait *first* seconds, doubling up to *most* seconds."""

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
