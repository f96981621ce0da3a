"""Listen addresses: how they are written, and the sockets bound to them.

:10088            every address of the machine, IPv6 too if the machine has it
127.0.0.1:0       one address, a free port
[::1]:9000        an IPv6 address, in brackets
localhost:9000    one address of that name, IPv4 rather than IPv6
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import ConfigError, ExporterError

_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.-]*)):(?P<port>[0-9]{1,5})", re.ASCII
)
_MAX_PORT = 65535
_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_WILDCARD_HOSTS = ("", "0.0.0.0", "::")  # noqa: S104 - only compared with, not bound to

BACKLOG = 1024
"""How many connections may wait to be accepted; the kernel may lower it."""


class ListenError(ExporterError):
    """An address cannot be listened on: in use, not of this machine, not permitted. Exit 1."""


class ListenAddress(NamedTuple):
    """A host (empty: every address of the machine) and a port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as it is written on the command line."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """A URL that a browser on this machine can open."""
        return f"http://{ListenAddress('127.0.0.1', self.port) if self.is_wildcard else self}/"

    @property
    def is_wildcard(self) -> bool:
        """Whether it means every address of the machine."""
        return self.host in _WILDCARD_HOSTS


def parse_listen_address(text: str) -> ListenAddress:
    """Return the address written in one `--web.listen-address`; raises `ConfigError`."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"--web.listen-address {text!r}: not of the form host:port, :port or [ipv6]:port; "
            "write it as 127.0.0.1:10088"
        )
    port = int(match["port"])
    if port > _MAX_PORT:
        raise ConfigError(
            f"--web.listen-address {text!r}: port above {_MAX_PORT}; choose a lower one"
        )
    return ListenAddress(match["six"] or match["name"] or "", port)


def bind(addresses: Sequence[ListenAddress]) -> list[socket.socket]:
    """Return a listening socket for each address; raises `ListenError`.

    If one address fails, the sockets of the others are closed.
    """
    if not addresses:
        raise ListenError("no address to listen on")
    sockets: list[socket.socket] = []
    for address in addresses:
        try:
            sockets.append(_bind(address))
        except (OSError, UnicodeError) as error:
            for bound in sockets:
                bound.close()
            raise ListenError(f"cannot listen on {address}: {_reason_of(error)}") from error
    return sockets


def address_of(listening: socket.socket) -> ListenAddress:
    """Return the address that a socket listens on."""
    host, port, *_ = listening.getsockname()
    return ListenAddress(host, port)


def _bind(address: ListenAddress) -> socket.socket:
    if not address.host:
        return _bind_everywhere(address.port)
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    # AF_INET is smaller than AF_INET6 on every platform, so IPv4 comes first.
    family, _, _, _, socket_address = min(found, key=lambda entry: entry[0])
    return socket.create_server(socket_address, family=family, backlog=BACKLOG)


def _bind_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            # The kernel supports IPv6, but this machine has no IPv6 address.
            if error.errno not in _NO_IPV6:
                raise
    return socket.create_server(("", port), backlog=BACKLOG)


_REMEDIES = {
    errno.EADDRINUSE: "end the program that does, or name another port",
    errno.EACCES: "ports below 1024 are for root, name another",
}
_REMEDY = "name an address of this machine, or :PORT for all of them"


def _reason_of(error: OSError | UnicodeError) -> str:
    reason, remedy = "no such host name", _REMEDY
    if isinstance(error, OSError) and error.strerror:
        # Python appends the address in brackets, which the message has already.
        reason = error.strerror.partition(" (while")[0].lower()
        remedy = _REMEDIES.get(error.errno or 0, _REMEDY)
    return f"{reason}; {remedy} with --web.listen-address"
