"""What the pages say of a PBX that another replica shows, or none. Pure.

A replica knows the calls only of the PBXs that it holds. Of the others it says who holds them, and
leads there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from ..leases import Holder
from ..metrics.snapshot import Snapshot
from .advice import DATABASE_AWAY, NOT_HELD, Advice, advice_html
from .status import Status

NOBODY = Status("down", "✕", "Held by nobody")
SOON_HERE = Status("wait", "…", "Not shown yet")
UNKNOWN = Status("wait", "?", "Not held here")
ELSEWHERE = Status("wait", "→", "Held elsewhere")


class Others(NamedTuple):
    """The PBXs *names* of the configuration, and who holds them.

    *holders* is None where the database cannot be asked. *address* is that of this replica, and
    *scheme* what the replicas speak, `http` or `https`.
    """

    names: Sequence[str]
    holders: Mapping[str, Holder | None] | None
    address: str
    scheme: str

    def beside(self, shown: Iterable[Snapshot]) -> Sequence[str]:
        """Return the PBXs that are not among those *shown* here, in the order of the names."""
        here = {snapshot.pbx for snapshot in shown}
        return [name for name in self.names if name not in here]

    def holder(self, name: str) -> Holder | None:
        """Return who holds the PBX, or held it last."""
        return (self.holders or {}).get(name)


def status_of(others: Others, name: str) -> Status:
    """Return what became of the PBX *name*, which is not shown here."""
    if others.holders is None:
        return UNKNOWN
    holder = others.holder(name)
    if holder is None or not holder.held:
        return NOBODY
    return SOON_HERE if holder.here else ELSEWHERE


def sentence(others: Others, name: str) -> str:
    """Return who holds the PBX *name*, or held it last, as HTML with a link to that replica."""
    status, holder = status_of(others, name), others.holder(name)
    if status is UNKNOWN:
        return _said(UNKNOWN, "Not held here", "; by which replica is not known")
    if status is SOON_HERE:
        return _said(SOON_HERE, "Held by this replica", ", which does not show it yet")
    if holder is None:
        return _said(NOBODY, "Nobody has held it yet", "")
    if status is NOBODY:
        return _said(NOBODY, "Nobody holds it", f"; last {_link(others, holder)}")
    return _said(ELSEWHERE, "Held", f" by {_link(others, holder)}")


def page_address(others: Others, name: str) -> str | None:
    """Return the URL of the page of the PBX *name* at the replica that holds it, if one does."""
    holder = others.holder(name)
    if holder is None or status_of(others, name) is not ELSEWHERE:
        return None
    return f"{others.scheme}://{holder.address}/pbx/{quote(name, safe='')}"


def advices(others: Others, names: Collection[str]) -> Sequence[Advice]:
    """Return what somebody has to do about the PBXs *names*, which are not shown here."""
    if others.holders is None:
        return [DATABASE_AWAY]
    return [NOT_HELD] if any(status_of(others, name) is NOBODY for name in names) else []


def page_body(others: Others, name: str) -> str:
    """Return the content of the page of the PBX *name*, as the inside of an HTML body."""
    advice = "".join(advice_html(each, "../") for each in advices(others, [name]))
    there = page_address(others, name)
    link = (
        f'<p><a href="{escape(there)}">The page of {escape(name)}</a> is there, with its calls.</p>'
        if there
        else ""
    )
    return (
        '<header><nav aria-label="Up"><a href="../">All PBXs</a></nav>'
        f'<h1>{escape(name)}</h1><p class="{status_of(others, name).style}">'
        f'{sentence(others, name)}</p></header><main class="text">{advice}{link}'
        f"<p>This is the replica {escape(others.address)}. A PBX has its calls and its metrics at "
        "the replica that holds it.</p></main>"
    )


def _said(status: Status, words: str, rest: str) -> str:
    return f'<span class="state"><span aria-hidden="true">{status.sign}</span> {words}</span>{rest}'


def _link(others: Others, holder: Holder) -> str:
    address = escape(holder.address)
    return f'<a href="{others.scheme}://{address}/">{address}</a>'
