"""What happens to the state of a PBX in a poll, in this order. `PBXState.after` says what follows.

PollBegan                       always
JudgedPage, any number, or      each page of the list that was read
EmptyList                     the first page had no rows
EndOfPoll                       the table is the one we know, and was read as far as time allowed
PollSucceeded                   nothing failed
"""

from __future__ import annotations

from typing import NamedTuple

from ..ledger import PageVerdict
from ..ledger.page import Page


class PollBegan(NamedTuple):
    """A poll begins."""


class JudgedPage(NamedTuple):
    """The ledger has judged *page*.

    *clock_offset* is by how many seconds the PBX's clock is ahead of ours, None where it does not
    tell.
    """

    page: Page
    verdict: PageVerdict
    clock_offset: float | None = None


class EmptyList(NamedTuple):
    """The list is empty: the PBX may still be starting, so it says nothing about calls."""


class EndOfPoll(NamedTuple):
    """The poll has read the table; with *all_read*, nothing of it is unread any more."""

    all_read: bool


class PollSucceeded(NamedTuple):
    """The PBX replied to all that was asked."""


Event = PollBegan | JudgedPage | EmptyList | EndOfPoll | PollSucceeded
