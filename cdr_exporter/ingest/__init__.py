"""What was counted of one PBX, as one frozen value, and how a page changes it. Pure.

    ledger.judge ─► JudgedPage ─► PBXState.after ─► the next state, and the change to commit
                                    which calls are over now?        call_assembly, calls
                                    what do rows and calls add?      metrics
                                    what is shown?                   visibility

Rule: `after` changes nothing. Its caller commits the change, then takes the next state and
publishes it, in this order. The process may be killed between any two of these: what was committed
is counted once, what was not is read again. A page that changes nothing of what is kept is not
committed. At the end of a poll that read every new row, the calls that are over are counted too,
and births are as the time has made them.

Nothing else holds a state. So it may be tried out what an event would do, any number of times.

What is shown when
------------------
After a start, and after the PBX was silent for `stale_after`, our totals lack all rows that ended
meanwhile. If they were shown while they catch up, a rate would spike. So the series of rows and
calls are hidden then. They are shown again after a poll that left no range unread, and that, after
a start, has read every range once in which late rows may turn up. Metrics about the exporter
itself are never hidden.

Prometheus sees a rise only between two scrapes. So a series that is new while the others are
shown is shown at 0 for `birth_hold`, and then at its value. A series that is new while they are
hidden is *born* when it is first shown.

A baseline
----------
A baseline is the first read of a whole table, with `start: all`: rows from before the program
ever ran. To show them as a rise from 0 would be a rise that never happened. So the series appear
at their full value when the baseline is complete, with all calls that are over by then.

    pbx_state       the state of one PBX, what is kept of it, and what an event makes of it
    events          what happens in a poll
    state_change    what a commit writes
    rules           what the user configured about all this
    call_assembly   which legs a page brings, and which calls are over
    visibility      whether the series are shown, and when each of them was born
"""

from .call_assembly import call_rules_of, unread_below
from .events import EmptyList, EndOfPoll, Event, JudgedPage, PollBegan, PollSucceeded
from .pbx_state import KeptState, NextState, PBXState
from .rules import CountingRules, counting_rules_of
from .state_change import (
    NOTHING,
    LedgerChange,
    StateChange,
    TotalsChange,
    ledger_change,
)
from .visibility import FirstShown, Visibility

__all__ = [
    "NOTHING",
    "CountingRules",
    "EmptyList",
    "EndOfPoll",
    "Event",
    "FirstShown",
    "JudgedPage",
    "KeptState",
    "LedgerChange",
    "NextState",
    "PBXState",
    "PollBegan",
    "PollSucceeded",
    "StateChange",
    "TotalsChange",
    "Visibility",
    "call_rules_of",
    "counting_rules_of",
    "ledger_change",
    "unread_below",
]
