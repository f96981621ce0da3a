"""Legs that share a uid become one call with one outcome. Pure: the current time is an argument.

A CDR row is one leg. A caller who gets through an IVR and a queue to an agent leaves three or
more rows, and the rows of the machines say ANSWERED too. Counted by rows, a call that no person
took looks answered, and talk time doubles. So the legs of a call are kept until no more of them
are expected; then they make one call, which is counted once.

When a call is over
-------------------
No row says that it is the last one of its call. A call is over, and is counted,

1. at the end of a poll that read every new row and began `call_settle` seconds or more after the
   newest leg of the call was first seen. Those seconds are *reachable time*: time in which polls
   succeeded. While the PBX does not reply, no leg can be seen, so that time does not count;
2. or earlier, after a page, while the PBX's series are hidden (after a start, or after a long
   silence of the PBX): as soon as the rows that are still unread can hold no leg of the call.
   Here `call_settle` runs from the end of the newest leg and the PBX need not have replied
   meanwhile, because its rows were written long before we read them. How long ago a call ended
   is told by the PBX's clock alone, which may be hours away from ours: by what it shows in its
   answers, or where it does not, by the newest end of any call. So all calls that ended during an
   outage are counted before anything is shown, and reading a million old rows keeps few calls
   open.

"Every new row was read" has a time, `Moment.read_until`: every row that the PBX had at that time
was read. By id it is the beginning of the poll, since the first page shows all that is new. Where
rows have no id, a new row appears at its start among older rows. There it is the beginning of the
last poll in which the list was read down to where the call began (`Moment.read_by_start`); for
that a poll reads so far down, once the call was quiet for long enough. A call that began before
what is read again waits for the next read of all of it.

It is not known for every firmware whether a PBX writes all legs when the call ends, or each leg
when that leg ends. With `legs_appear: one_by_one` a call stays open for `longest_call` while no
person has answered it and its last leg may be followed by another (`Leg.another_may_follow`).

Rows that make no call
----------------------
A leg that turns up after its call was counted is counted as a row only, and as a late leg. A call
of which a row lay before the start is never put together, since its first legs are not known: its
further rows are counted as rows only, and are not late legs.

Bounds
------
At most `MAX_OPEN_CALLS` calls are open, with `MAX_OPEN_LEGS` legs together. Of more, those whose
legs were seen longest ago are counted as they are, and as cut calls; so is a call of more than
`MAX_LEGS`. `MAX_CLOSED_CALLS` calls are remembered once they are
counted, for `longest_call` of reachable time, so that a late leg is recognised: by when we counted
them, since an end may be of a wrong clock. Of a baseline, and after an outage, only those that
ended less than `longest_call` before the newest.

    callee          person or machine, and which number
    leg             a row as a leg, without anything personal
    call            legs → one call
    open_calls      which calls are open, which are over
    reachable_time  how long the PBX replied
    uid_time        when a call began whose first leg is not seen yet
"""

from .call import PASSED_ON, QUEUE_OUTCOMES, Call, QueueVisit, assemble_call
from .call_group import CallGroup, LegTimes, group_calls, group_of_lone_legs, is_plain
from .callee import DOUBTS
from .leg import (
    OTHER_NUMBER,
    OUTCOMES,
    CallRules,
    Leg,
    LegClassifier,
    RowKind,
    RowsOfAKind,
    with_times_of,
)
from .open_calls import (
    MAX_CLOSED_CALLS,
    MAX_OPEN_CALLS,
    NO_CHANGE,
    NO_UNREAD_LEGS,
    UNREAD_LEGS_UNKNOWN,
    CallChange,
    CallVerdict,
    ClosedCall,
    Moment,
    OpenCall,
    SettleRules,
    TrackedCalls,
    UnreadLegs,
)
from .reachable_time import ReachableTime
from .uid_time import UIDTime

__all__ = [
    "DOUBTS",
    "MAX_CLOSED_CALLS",
    "MAX_OPEN_CALLS",
    "NO_CHANGE",
    "NO_UNREAD_LEGS",
    "OTHER_NUMBER",
    "OUTCOMES",
    "PASSED_ON",
    "QUEUE_OUTCOMES",
    "UNREAD_LEGS_UNKNOWN",
    "Call",
    "CallChange",
    "CallGroup",
    "CallRules",
    "CallVerdict",
    "ClosedCall",
    "Leg",
    "LegClassifier",
    "LegTimes",
    "Moment",
    "OpenCall",
    "QueueVisit",
    "ReachableTime",
    "RowKind",
    "RowsOfAKind",
    "SettleRules",
    "TrackedCalls",
    "UIDTime",
    "UnreadLegs",
    "assemble_call",
    "group_calls",
    "group_of_lone_legs",
    "is_plain",
    "with_times_of",
]
