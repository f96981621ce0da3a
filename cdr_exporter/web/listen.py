"""Listen addresses: how they are written and how they become sockets.

:10088            every address of the machine, IPv6 and IPv4 where the machine has both
127.0.0.1:0       one address, a free port
[::1]:9000        IPv6 in brackets
localhost:9000    the first address of the name, IPv4 before IPv6
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import ConfigError, ExporterError

_FORM = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.-]*)):(?P<port>[0-9]{1,5})", re.ASCII
)
_MAX_PORT = 65535
_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - recognised here, chosen by the operator

BACKLOG = 1024
"""Connections that wait to be accepted; the kernel caps it."""


class ListenError(ExporterError):
    """An address cannot be listened on: taken, not of this machine, not allowed. Exit 1."""


class ListenAddress(NamedTuple):
    """A host (empty: every one) and a port (0: a free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as it is written on a command line."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """An address that a browser on this machine can open."""
        return f"http://{ListenAddress('127.0.0.1', self.port) if self.anywhere else self}/"

    @property
    def anywhere(self) -> bool:
        """Say whether it is every address of the machine."""
        return self.host in _ANYWHERE


def parse(text: str) -> ListenAddress:
    """Read one `--web.listen-address`."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"--web.listen-address {text!r}: not of the form host:port, :port or [ipv6]:port"
        )
    port = int(match["port"])
    if port > _MAX_PORT:
        raise ConfigError(f"--web.listen-address {text!r}: port above {_MAX_PORT}")
    return ListenAddress(match["six"] or match["name"] or "", port)


def bind(addresses: Sequence[ListenAddress]) -> list[socket.socket]:
    """Return a listening socket per address, or none at all: all are closed when one fails."""
    if not addresses:
        raise ListenError("no address to listen on")
    sockets: list[socket.socket] = []
    for address in addresses:
        try:
            sockets.append(_bind(address))
        except (OSError, UnicodeError) as error:
            for bound in sockets:
                bound.close()
            raise ListenError(f"cannot listen on {address}: {_reason(error)}") from error
    return sockets


def bound_to(listening: socket.socket) -> ListenAddress:
    """Return where a socket listens."""
    host, port, *_ = listening.getsockname()
    return ListenAddress(host, port)


def _bind(address: ListenAddress) -> socket.socket:
    if not address.host:
        return _bind_everywhere(address.port)
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    # AF_INET is the smaller number wherever this runs.
    family, _, _, _, place = min(found, key=lambda entry: entry[0])
    return socket.create_server(place, family=family, backlog=BACKLOG)


def _bind_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            # The kernel knows IPv6, but this machine has no such address.
            if error.errno not in _NO_IPV6:
                raise
    return socket.create_server(("", port), backlog=BACKLOG)


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, OSError) and error.strerror:
        # Python adds the address once more, in brackets.
        return error.strerror.partition(" (while")[0].lower()
    return "no such host name"
