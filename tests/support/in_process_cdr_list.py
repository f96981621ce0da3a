"""The simulated PBX as a `CDRList`, without a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from urllib.parse import urlencode

from cdr_exporter.cdr import CDRAnswer, decode
from cdr_exporter.cdr.contract import CDRQuery
from pbx_simulator import SimulatedPBX
from pbx_simulator.http_messages import HTTPRequest
from pbx_simulator.pbx import API_PATH, CLIENT_ID, CLIENT_SECRET


class InProcessCDRList:
    """The CDR list of a simulated PBX without a network; *before_answer* may raise."""

    def __init__(self, pbx: SimulatedPBX, before_answer: Callable[[], None]) -> None:
        self.requests = 0
        self.errcodes: Counter[int] = Counter()
        self.clock_offset: float | None = None
        self._pbx = pbx
        self._before_answer = before_answer

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        """Return the answer that a client would get."""
        self.requests += 1
        self._before_answer()
        token = self._pbx.tokens.log_in(CLIENT_ID, CLIENT_SECRET, "127.0.0.1").access_token
        asked = {**query.parameters, "access_token": token}
        headers = {"user-agent": "OpenAPI"}
        path = f"/{API_PATH}/cdr/list"
        response = self._pbx.answer(HTTPRequest("GET", path, urlencode(asked), headers=headers))
        self._pbx.tokens.revoke(token)
        return decode(response.body)
