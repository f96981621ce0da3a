"""The PBX's Open API: tokens, pages, errors classified. The only door to `requests` and `urllib3`.

    client          what the rest of the program uses: fetch a page, cancel, revoke the token
    login           which token to use: reuse, refresh or log in, if what is on record allows it
    credentials     the client secret, read again before each login
    attempt_record  the logins on record at one PBX, shared by all who log in there
    token_document  the tokens, shared by processes
    copying         tokens and logins on record, copied from one place to another
    file_documents  tokens and logins on record in files, for the processes of one machine
    turn            one request at a time, also from several processes
    documents       what tokens and logins on record need of the place where they are kept
    transport       one HTTP request under one deadline; errors that show no secret
    http_adapter    `requests` over our own connection; puts the token into the request line
    connection      one TCP or TLS connection under one deadline, cancellable
    tls             which certificates are accepted
    token_rules     what follows from the tokens on record; pure
    attempt_rules   what follows from the logins on record; pure
    failures        which error an HTTP status or an error code becomes
    http_date       the date that an answer holds, and what it says about the PBX's clock; pure

A module imports only those below it. How tokens are chosen is explained in `login`, how one
deadline covers a whole request in `transport`.
"""

from .attempt_record import LOGINS_PREFIX
from .client import Client
from .connection import Cancelled
from .copying import copy_logins, copy_token, remove_token
from .documents import TOKEN, Documents
from .file_documents import FileDocuments
from .login import Person
from .token_document import expiry_in, read_expiry

__all__ = [
    "LOGINS_PREFIX",
    "TOKEN",
    "Cancelled",
    "Client",
    "Documents",
    "FileDocuments",
    "Person",
    "copy_logins",
    "copy_token",
    "expiry_in",
    "read_expiry",
    "remove_token",
]
