"""The Open API's answer to one request.

Rule: no socket, no thread, no clock of its own: an `HTTPRequest` in, an `HTTPReply` out, so that
tests can ask without a server.

Documented: `get_token`, `refresh_token` (POST), `del_token`, `cdr/list` (GET); every request
needs a User-Agent; errors are HTTP 200; a `cdr/list` without `page` is page 1, without
`page_size` 10,000 rows. Observed on real boxes: without `sort_by` and `order_by` the oldest row
comes first; unknown parameters are ignored, also `from` by firmware that has one table only; one
connection per request; paths of version 2.0 are 10001 where the firmware does not have them.

Assumed, the vendor being silent:

- A request without User-Agent is refused with 10005 ACCESS DENIED.
- A path under any other version of the API is 10003; a wrong method is 10001 like an
  unknown path; a missing token is 10004 like an expired one.
- `sort_by` without `order_by` is ascending. A blank parameter is a missing one.
- A parameter outside the contract (page 0, page_size 10,001, an unknown field to sort by, a
  `from` that is no table) is 40002 and names every parameter at fault with its value.
- A page past the end is a success with no rows.
- A body that is no JSON object is 40001, one without its fields 40002; neither counts as a
  failed authentication.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .fault_queue import FaultQueue
from .firmware import GENERATIONS
from .http_messages import APIRefusal, HTTPReply, HTTPRequest, refusal_reply, success_reply
from .listing import CDRListing
from .request_fault import RequestFault
from .rows import SORT_FIELDS
from .token_issuer import TokenIssuer, TokenPair

INTERFACE_NOT_EXISTED = 10001
API_VERSION_UNSUPPORTED = 10003
ACCESS_DENIED = 10005
PARAMETER_SYNTAX_ERROR = 40001
PARAMETER_ERROR = 40002

_NEXT_VERSION = "2.0"  # another API, of firmware newer than any that is imitated

MAX_PAGE_SIZE = 10_000
_ORDERS = ("asc", "desc")


class API:
    """The endpoints over one listing of CDRs and one set of tokens."""

    def __init__(
        self,
        listing: CDRListing,
        tokens: TokenIssuer,
        faults: FaultQueue[RequestFault],
        api_path: str,
    ) -> None:
        self._listing = listing
        self._tokens = tokens
        self._faults = faults
        self._prefix = f"/{api_path.strip('/')}/"
        self._endpoints: dict[tuple[str, str], Callable[[HTTPRequest], HTTPReply]] = {
            ("POST", "get_token"): self._get_token,
            ("POST", "refresh_token"): self._refresh_token,
            ("GET", "del_token"): self._del_token,
            ("GET", "cdr/list"): self._cdr_list,
        }

    def answer(self, request: HTTPRequest) -> HTTPReply:
        """Return the answer, or the fault that was waiting for this request."""
        endpoint = self.endpoint(request)
        fault = self._faults.take_first(lambda waiting: waiting.path in (None, endpoint))
        if fault and fault.replaces:
            return fault.answer()
        response = self._true_answer(request)
        return fault.disturb(response) if fault else response

    def endpoint(self, request: HTTPRequest) -> str | None:
        """Return the part of the path after the `api_path`, None where the path has another."""
        if not request.path.startswith(self._prefix):
            return None
        return request.path.removeprefix(self._prefix)

    def _true_answer(self, request: HTTPRequest) -> HTTPReply:
        try:
            self._tokens.admit(request.client)
            if not request.headers.get("user-agent"):
                raise APIRefusal(ACCESS_DENIED)
            return self._handler(request)(request)
        except APIRefusal as refused:
            return refusal_reply(refused)

    def _handler(self, request: HTTPRequest) -> Callable[[HTTPRequest], HTTPReply]:
        endpoint = self.endpoint(request)
        if endpoint is None and self._is_other_version(request.path):
            raise APIRefusal(API_VERSION_UNSUPPORTED)
        handler = self._endpoints.get((request.method, endpoint or ""))
        if handler is None:
            raise APIRefusal(INTERFACE_NOT_EXISTED)
        return handler

    def _is_other_version(self, path: str) -> bool:
        root = self._prefix.rstrip("/").rpartition("/")[0]
        version = re.match(rf"{re.escape(root)}/v(\d+(\.\d+)*)/", path)
        return version is not None and version[1] != _NEXT_VERSION

    def _get_token(self, request: HTTPRequest) -> HTTPReply:
        username, password = _body_fields(request, "username", "password")
        return _granted(self._tokens.log_in(username, password, request.client), self._tokens)

    def _refresh_token(self, request: HTTPRequest) -> HTTPReply:
        (refresh_token,) = _body_fields(request, "refresh_token")
        return _granted(self._tokens.refresh(refresh_token), self._tokens)

    def _del_token(self, request: HTTPRequest) -> HTTPReply:
        self._tokens.revoke(request.parameters.get("access_token", ""))
        return success_reply({})

    def _cdr_list(self, request: HTTPRequest) -> HTTPReply:
        asked = request.parameters
        self._tokens.check(asked.get("access_token", ""))
        generation = asked.get("from", "") if self._listing.knows_from else ""
        return self._listing.answer(_page_asked(asked, generation))


def _granted(grant: TokenPair, tokens: TokenIssuer) -> HTTPReply:
    return success_reply(
        {
            "access_token": grant.access_token,
            "access_token_expire_time": tokens.access_seconds,
            "refresh_token": grant.refresh_token,
            "refresh_token_expire_time": tokens.refresh_seconds,
        }
    )


def _body_fields(request: HTTPRequest, *names: str) -> list[str]:
    try:
        body = json.loads(request.body)
    except ValueError:
        raise APIRefusal(PARAMETER_SYNTAX_ERROR) from None
    if not isinstance(body, dict):
        raise APIRefusal(PARAMETER_SYNTAX_ERROR)
    missing = {name: "" for name in names if not isinstance(body.get(name), str)}
    if missing:
        raise APIRefusal(PARAMETER_ERROR, missing)
    return [body[name] for name in names]


def _page_asked(parameters: dict[str, str], generation: str) -> dict[str, Any]:
    """Return the parameters of a page by their names, or refuse naming what is wrong.

    `page`, `page_size`, `sort_by`, `order_by`, and `generation`, which is called `from` outside.
    """
    asked = {
        "page": parameters.get("page") or "1",
        "page_size": parameters.get("page_size") or str(MAX_PAGE_SIZE),
        "sort_by": parameters.get("sort_by") or "id",
        "order_by": parameters.get("order_by") or "asc",
        "from": generation,
    }
    good = {
        "page": _whole(asked["page"]) >= 1,
        "page_size": 1 <= _whole(asked["page_size"]) <= MAX_PAGE_SIZE,
        "sort_by": asked["sort_by"] in SORT_FIELDS,
        "order_by": asked["order_by"] in _ORDERS,
        "from": not generation or generation in GENERATIONS,
    }
    invalid = {name: asked[name] for name in asked if not good[name]}
    if invalid:
        raise APIRefusal(PARAMETER_ERROR, invalid)
    return {
        "page": int(asked["page"]),
        "page_size": int(asked["page_size"]),
        "sort_by": asked["sort_by"],
        "order_by": asked["order_by"],
        "generation": generation,
    }


def _whole(text: str) -> int:
    """Return *text* as a number, 0 where it is none (more than 18 digits are none)."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0
