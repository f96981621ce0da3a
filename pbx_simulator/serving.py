"""A simulated PBX over HTTP, with the control path where it is asked for.

Rule: the PBX knows neither the network nor the control path; both are put on top of it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from ssl import SSLContext

from . import control
from .background import repeating
from .http_messages import HTTPReply, HTTPRequest
from .http_server import PBXServer
from .pbx import SimulatedPBX

_TICK_SECONDS = 0.25


@contextmanager
def serve(
    pbx: SimulatedPBX,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ssl_context: SSLContext | None = None,
    live: bool = False,
    with_control: bool = False,
) -> Iterator[PBXServer]:
    """Answer for *pbx* over HTTP, or HTTPS with *ssl_context*, until the block is left.

    With *live* the office goes on telephoning; *with_control* serves the control path too. Port
    0 takes a free one. OSError: the address is taken or not of this machine.
    """

    def answer(request: HTTPRequest) -> HTTPReply:
        return answer_with_control(pbx, request) if with_control else pbx.answer(request)

    def is_counted(request: HTTPRequest) -> bool:
        return not (with_control and control.is_control(request))

    server = PBXServer(
        answer,
        host,
        port,
        ssl_context=ssl_context,
        request_log=pbx.request_log,
        is_counted=is_counted,
    )
    with server, repeating(pbx.office.tick, _TICK_SECONDS) if live else nullcontext():
        yield server


def answer_with_control(pbx: SimulatedPBX, request: HTTPRequest) -> HTTPReply:
    """Answer one request to the Open API or to the control path."""
    if control.is_control(request):
        return control.answer(pbx, request)
    return pbx.answer(request)
