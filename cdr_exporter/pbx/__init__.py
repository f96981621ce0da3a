"""The PBX's Open API: tokens, pages, failures classified. The only door to `requests`.

    client      what the rest of the program uses: fetch a page, cancel, revoke
    login       token, refresh, login: requests and writes in the right order
    token_file  what we hold, on disk, shared by processes
    credentials the client secret, read anew
    transport   one HTTP request; what goes wrong, without its secrets
    verdict     what a status or an error code means
    adapter     `requests` over a line, the token put in on the wire
    line        one connection under one deadline, cancellable
    trust       TLS: whom to believe
    tokens      what follows from what we hold; pure

A module uses only those below it.
"""

from .client import Client
from .connection import Cancelled

__all__ = ["Cancelled", "Client"]
