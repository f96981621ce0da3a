"""A PBX that answers the CDR list with what takes the most memory or time, within our limits.

It is a step of a `Wire`. Logins are answered as they should be. *answer* makes the whole HTTP
answer to a query for so many rows from a position on; see `HOSTILE` for those there are.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from cdr_exporter.cdr import largest_answer

from .socket_server import Call, chunked, ok
from .token_server import TokenServer

TOTAL = 1_000_000
"""How many rows it says it has."""

EMOJI = "\U0001f600".encode()

TEXTS = (
    *("uid", "time", "call_from", "call_to", "src_addr", "src_trunk", "dst_trunk", "disposition"),
    *("call_type", "did_number", "dod_number", "record_file", "reason"),
)
CANARY = "canary-person-5cf1e07a"
"""In many of the texts: no part of the exporter may show it."""


class Asked(NamedTuple):
    """A query: *rows* from *position* on, 0 the newest, and the *sort_by* of the query."""

    rows: int
    position: int
    sort_by: str


Answer = Callable[[Asked], bytes]


class HostilePBX(TokenServer):
    """Answers the CDR list by *answer*; *queries* counts how often it was asked for."""

    def __init__(self, answer: Answer, secret: str) -> None:
        super().__init__(secret, life=86_400)
        self.queries = 0
        self._answer = answer

    def __call__(self, call: Call) -> None:
        """Answer one request."""
        head, _, body = call.request().partition(b"\r\n\r\n")
        target = urlsplit(head.split(b" ")[1].decode())
        fields = {name: values[0] for name, values in parse_qs(target.query).items()}
        if not target.path.endswith("cdr/list"):
            call.write(self.say(target.path, fields.get("access_token", ""), body))
            return
        self.queries += 1
        size = int(fields["page_size"])
        position = (int(fields["page"]) - 1) * size
        call.write(self._answer(Asked(size, position, fields.get("sort_by", "id"))))


# --- answers that are junk as a whole ---


def filled(piece: bytes, before: bytes = b"", after: bytes = b"") -> Answer:
    """Return an answer whose data is *piece* again and again, as long as an answer may be."""
    start = b'{"errcode":0,"total_number":%d,"data":[' % TOTAL + before

    def answer(asked: Asked) -> bytes:
        room = largest_answer(asked.rows) - len(start) - len(after) - 2
        return ok(start + piece * (room // len(piece)) + after + b"]}")

    return answer


def whole(body: Callable[[int], bytes]) -> Answer:
    """Return an answer that is *body* of as many bytes as an answer may have."""
    return lambda asked: ok(body(largest_answer(asked.rows)))


def many_keys(size: int) -> bytes:
    """Return an object of distinct names."""
    names = b"".join(b'"%x":0,' % n for n in range(size // 12))
    return b'{"errcode":0,"data":[{%b"z":0}]}' % names


def sixteen_mib(_: Asked) -> bytes:
    """Return valid JSON of millions of empty rows, far beyond what was asked for."""
    return ok(b'{"errcode":0,"total_number":%d,"data":[%b{}]}' % (TOTAL, b"{}," * 5_592_000))


def without_an_end(_: Asked) -> bytes:
    """Return an answer of an unannounced length, 16 MiB of blanks."""
    return b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (16 << 20)


def repeated(head: bytes, piece: bytes) -> Answer:
    """Return an answer that says *piece* again and again after *head*, 16 MiB of it."""
    return lambda _: head + piece * ((16 << 20) // len(piece))


def gzip_bomb(_: Asked) -> bytes:
    """Return what says that it is compressed."""
    return ok(b"\x1f\x8b" + bytes(300_000), Content_Encoding="gzip")


def in_small_chunks(asked: Asked) -> bytes:
    """Return junk in chunks of a byte."""
    return chunked(b"x" * largest_answer(asked.rows), 1)


# --- rows without an end ---


def rows(row: Callable[[int], bytes]) -> Answer:
    """Return a list of `TOTAL` rows, newest first; *row* makes one from its id."""

    def answer(asked: Asked) -> bytes:
        newest = TOTAL - asked.position
        ids = range(newest, max(0, newest - asked.rows), -1)
        body = b",".join(map(row, ids))
        return ok(b'{"errcode":0,"total_number":%d,"data":[%b]}' % (TOTAL, body))

    return answer


STARTED = int(time.time()) - 3600


def plain(n: int, uid: bytes = b"", trunk: bytes = b"SIP 1", at: int = 0) -> bytes:
    """Return a row of the contract; without *uid* each row is a call of its own."""
    return (
        b'{"id":%d,"timestamp":%d,"uid":"%b","call_from":"1000","call_to":"2000","src_trunk":"%b",'
        b'"duration":30,"talk_duration":20,"disposition":"ANSWERED","call_type":"Inbound"}'
    ) % (n, at or STARTED - (TOTAL - n) // 4, uid or b"%d.%d" % (n, n), trunk)


def long_texts(length: int) -> Callable[[int], bytes]:
    """Return rows with texts of about *length* bytes in each field, all different."""
    filler = EMOJI * (length // 4)
    pairs = [b'"%b":"%%d %b"' % (name.encode(), filler) for name in TEXTS]
    form = b'{"id":%d,"timestamp":%d,' + b",".join(pairs) + b"}"
    return lambda n: form % (n, _shuffled(n), *([n] * len(TEXTS)))


def _shuffled(n: int) -> int:
    # Calls of which earlier legs may still be unread stay open: so the times go up and down.
    return STARTED - random.Random(n).randrange(3600)


GOOD = rows(plain)


def behind_rows(answer: Answer) -> Answer:
    """Return good rows on the first page, and *answer* behind it."""
    return lambda asked: (answer if asked.position >= 20 else GOOD)(asked)


JUNK: dict[str, Answer] = {
    "empty rows": filled(b"{},", after=b"{}"),
    "one text": filled(b"a", b'{"uid":"', b'"}'),
    "one text of escapes": filled(rb"\ud83d\ude00", b'{"uid":"', b'"}'),
    "nested lists": whole(lambda size: b"[" * (size // 2) + b"]" * (size // 2)),
    "lists not closed": filled(b"["),
    "a long number": filled(b"9", b'{"id":', b"}"),
    "many keys": whole(many_keys),
    "quotes": filled(b'" ,', b'{"uid":"', b'"}'),
    "no JSON": whole(lambda size: b"x" * size),
}

HOSTILE: dict[str, Answer] = {
    "16 MiB of empty rows": sixteen_mib,
    "16 MiB of blanks": without_an_end,
    "16 MiB of one header": repeated(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "16 MiB of headers": repeated(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "16 MiB of 100 Continue": repeated(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "16 MiB of chunk extensions": repeated(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1;" + b"x" * 60_000 + b"\r\nx\r\n",
    ),
    "16 MiB of trailers": repeated(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"
    ),
    "a gzip bomb": gzip_bomb,
    "chunks of a byte": in_small_chunks,
    **JUNK,
    **{f"{name}, behind rows": behind_rows(answer) for name, answer in JUNK.items()},
    "texts of 700 KB": behind_rows(rows(long_texts(700_000))),
    "long texts": rows(long_texts(240)),
    "long uids": rows(lambda n: plain(n, uid=b"%d" % n + EMOJI * 250, at=_shuffled(n))),
    "one uid": rows(lambda n: plain(n, uid=b"1.1", at=_shuffled(n))),
    "few uids": rows(lambda n: plain(n, uid=b"%d" % (n % 5000), at=_shuffled(n))),
    "trunks": rows(lambda n: plain(n, trunk=b"%s trunk %d" % (CANARY.encode(), n))),
    "rejected rows": rows(lambda n: b'{"id":%d,"timestamp":1.5,"uid":"%d"}' % (n, n)),
    "rows without id": rows(lambda n: plain(n).replace(b'"id":', b'"new_id":')),
}
