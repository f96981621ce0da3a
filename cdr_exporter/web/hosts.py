"""Which names the program answers to.

A page of a stranger can have its own name point to this machine, and then read our pages through
the browser of whoever looks at it. The browser still sends the stranger's name as `Host`, so a name
that is not ours is refused, where we know which ones are. An IP address is no such name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from .listen import ListenAddress

_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::\d*)?")


class Hosts:
    """The names that are ours: of *listen*, of *external_url* and of *advertised*.

    *advertised* is the address at which other replicas send Prometheus here, as `host:port`. Where
    it listens on all addresses and there is no *external_url*, any name may be ours.
    """

    def __init__(
        self,
        listen: Sequence[ListenAddress] = (),
        external_url: str | None = None,
        advertised: str | None = None,
    ) -> None:
        own = {address.host.lower() for address in listen if not address.is_wildcard}
        outside = urlsplit(external_url).hostname if external_url else None
        replica = urlsplit(f"//{advertised}").hostname if advertised else None
        self._names = {"localhost", *own, *filter(None, (outside, replica))}
        is_everywhere = not listen or any(address.is_wildcard for address in listen)
        self._any = is_everywhere and outside is None

    def has(self, host: str) -> bool:
        """Say whether the header *host*, a name or address with or without a port, is ours.

        It is missing in HTTP/1.0, which no browser speaks.
        """
        if self._any or not host:
            return True
        match = _HOST.fullmatch(host)
        name = match[1].strip("[]").lower().rstrip(".") if match else ""
        return name in self._names or _is_ip_address(name)


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
