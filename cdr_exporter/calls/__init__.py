"""Legs that share a uid become one call with one outcome. Pure: *now* is told.

A CDR row is one leg. A caller who gets through an IVR and a queue to an agent leaves three or
more rows, those of the machines ANSWERED. Counted by rows, a call that nobody took looks
answered, and talk time doubles. So the legs are kept until no more of them are to come, and then
make one call.

When a call is over
-------------------
Nothing in a row says that it is the last one of its call. A call is over

1. at the end of a poll that read all there was, begun `call_settle` or more after the newest leg
   was first seen. Only the time counts in which the PBX answered: a minute of silence is no
   minute in which a leg could have been seen;
2. and, while nothing is shown (after a start, after a silence), also before the poll ends: as
   soon as what is still to be read can hold no leg of it. There the wait is counted from the end
   of the newest leg, answers or not, since what ended long ago was there long before we looked.
   So the calls of an outage are counted before anything is shown, and a million old rows leave
   few calls open.

Where rows have no id, a new row does not appear at the top but at its start, and is found by the
next sweep: there `covered` is the beginning of the last whole sweep.

Whether a PBX shows all legs when the call ends, or each when it ends, is not known for every
firmware. `legs_appear: one_by_one` keeps a call open for `longest_call` while no person answered
and its last leg may hand it on (`Leg.another_may_follow`).

A leg that turns up after its call was counted is a row only, and counted as late; so is each
further row of a uid from before the start, which is not even late.

Bounds
------
`MAX_OPEN_CALLS` open calls, and `MAX_CLOSED_CALLS` that were counted, for `longest_call` after
their end.

    callee    person or machine, and which number
    leg       a row as a leg, without anything personal
    call      legs → one call
    book      what is open, what is over
    answered  the time in which the PBX answered
"""

from .call import Call, assemble_call
from .leg import OTHER_NUMBER, OUTCOMES, CallKind, CallRules, Leg, LegClassifier
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

__all__ = [
    "MAX_CLOSED_CALLS",
    "MAX_OPEN_CALLS",
    "NO_CHANGE",
    "NO_UNREAD_LEGS",
    "OTHER_NUMBER",
    "OUTCOMES",
    "UNREAD_LEGS_UNKNOWN",
    "Call",
    "CallChange",
    "CallKind",
    "CallRules",
    "CallVerdict",
    "ClosedCall",
    "Leg",
    "LegClassifier",
    "Moment",
    "OpenCall",
    "ReachableTime",
    "SettleRules",
    "TrackedCalls",
    "UnreadLegs",
    "assemble_call",
]
