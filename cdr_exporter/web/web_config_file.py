"""The file of `--web.config.file` while the program runs: read again when it changes.

Rule: a file that is not good changes nothing: what was read before stays, and a log line says why.
Nor does one that takes TLS or the logins away, as a file does that is half written: that needs a
new start.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..config import load_web
from ..errors import ConfigError
from ..secret import Secret
from ..settings.kinds import declared
from ..settings.web import Headers, ServerTLS, WebSettings
from .messages import HeaderFields
from .rate_limiter import RateLimiter
from .server_tls import HandshakePolicy, files_of, handshake_policy

_log = logging.getLogger(__name__)

_Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in, and how: what one reading of the file says."""

    tls: HandshakePolicy | None = None
    users: Mapping[str, Secret] = field(default_factory=dict)
    headers: HeaderFields = ()
    limiter: RateLimiter = field(default_factory=lambda: RateLimiter(0, 0, 0))


ANYBODY = Access()
"""What is without a file."""


class WebConfigFile:
    """The file *path* and the files that it names; raises `ConfigError` where it is not good.

    `access` and `is_good` may be read by any thread; `is_good` says whether the file could be used
    when it was last read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_good = True
        self._seen: dict[Path, _Version | None] = {}
        self.access = self._read()

    def reread(self) -> None:
        """Read the file again if it, or a file that it names, has changed."""
        if self._seen == {path: _version_of(path) for path in self._seen}:
            return
        try:
            self.access = self._not_less(self._read())
        except ConfigError as error:
            self.is_good = False
            for line in str(error).split("\n"):
                fields = {"error": line}
                _log.error(
                    "web configuration not taken, the old one stays", extra={"fields": fields}
                )
        else:
            self.is_good = True
            _log.info("web configuration read again")

    def _read(self) -> Access:
        # Versions are noted before files are read: a change in between is seen the next time.
        self._seen[self._path] = own = _version_of(self._path)
        settings = load_web(self._path)
        named = files_of(settings.tls) if settings.tls else ()
        self._seen = {self._path: own, **{path: _version_of(path) for path in named}}
        limit = settings.rate_limit
        return Access(
            tls=self._policy(settings.tls) if settings.tls else None,
            users=settings.users,
            headers=_header_fields(settings),
            limiter=RateLimiter(limit.interval, limit.burst, time.monotonic()),
        )

    def _policy(self, tls: ServerTLS) -> HandshakePolicy:
        try:
            return handshake_policy(tls)
        except ConfigError as error:
            problem = str(error)
        raise ConfigError(f"{self._path}: tls_server_config.{problem}")

    def _not_less(self, access: Access) -> Access:
        if (self.access.tls and not access.tls) or (self.access.users and not access.users):
            raise ConfigError(
                f"{self._path}: takes TLS or the logins away, which needs a new start"
            )
        return access


def _version_of(path: Path) -> _Version | None:
    """Return what changes when the file does."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _header_fields(settings: WebSettings) -> HeaderFields:
    headers = settings.http.headers
    values = (getattr(headers, each.name) for each in fields(Headers))
    named = zip(declared(Headers), values, strict=True)
    return tuple((name, value) for name, value in named if value is not None)
