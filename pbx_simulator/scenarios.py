"""What can happen in a call, as a table: its legs in time, and its true outcome.

Rule: a scenario *declares* its outcome. Nothing here concludes it from legs, since that is what
readers are tested for.

The time of a call is cut into phases of random length, and each leg lies between the instants
where phases meet: instant 0 is the start, instant n the end of phase n. So the durations of a
call always agree with each other. A leg's `duration` runs from *began* to *ended*, its
`ring_duration` from *began* to *answered* and its `talk_duration` from there. The legs stand in
the order of their starts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import accumulate
from random import Random
from typing import NamedTuple

LONGEST_CALL_SECONDS = 3600

DrawName = Callable[[Random], str]


class Span(NamedTuple):
    """How long a phase takes: *draw* gives whole seconds, *most* at the most."""

    draw: Callable[[Random], int]
    most: int


class ScenarioLeg(NamedTuple):
    """A leg: to whom, between which instants, and the `reason` it ends with.

    *to* is a name of `calls.CALLEES`, *by* of `calls.LINES` ("" as the call itself); *reason* a
    party and a key, where `any` is either party. *answered* None: the leg was not answered. Without
    *disposition* it follows from *answered*.
    """

    to: str
    began: int
    answered: int | None
    ended: int
    reason: str
    by: str = ""
    disposition: str = ""

    @property
    def shown_disposition(self) -> str:
        """What the row has as its disposition."""
        return self.disposition or ("NO ANSWER" if self.answered is None else "ANSWERED")

    @property
    def rings(self) -> bool:
        """Whether it rings until it is answered or given up."""
        return self.disposition not in _NOT_CONNECTED


class Scenario(NamedTuple):
    """What happens: *share* is per mille of the calls of its *call_type* that the office makes.

    *outcome*, *trunk* and *queues* are the truth: `own` is the trunk that the call began on,
    `second` the other one, "" none; *queues* are what became of the call in each queue that it
    entered, in their order. *without_reason* is the outcome where the rows have no `reason`, if
    nothing else tells the true one. *direct*: one leg between two parties, with no machine before
    it.
    """

    call_type: str
    share: int
    outcome: str
    phases: str
    legs: tuple[ScenarioLeg, ...]
    trunk: str = "own"
    direct: bool = False
    queues: tuple[str, ...] = ()
    without_reason: str = ""


def _between(least: int, most: int) -> Span:
    return Span(lambda rng: rng.randint(least, most), most)


def _around(mu: float, sigma: float, least: int, most: int) -> Span:
    """Return log-normal seconds: mostly short and sometimes long."""
    return Span(lambda rng: min(most, max(least, round(rng.lognormvariate(mu, sigma)))), most)


PHASES: dict[str, Span] = {
    "setup": _between(0, 2),
    "ring": _around(1.9, 0.6, 1, 60),
    "given-up": _between(4, 25),  # rings, and whoever calls hangs up
    "timeout": _between(26, 45),  # rings until the PBX ends it
    "patience": _between(15, 30),  # rings until the PBX hands the call on
    "menu": _between(3, 40),
    "prompt": _between(5, 30),
    "wait": _around(3.2, 0.9, 1, 600),
    "overflow": _between(60, 120),  # in a queue until the PBX hands the call on
    "talk": _around(4.7, 1.0, 1, 2700),
    "first-talk": _around(3.9, 0.8, 1, 600),  # before the call is handed on
    "consult": _between(3, 90),
    "survey": _between(3, 40),
    "message": _between(3, 90),
}

_END, _MISSED, _ENGAGED = "any hangup", "src hangup", "dst extension_busy_no_forward"
_NOT_CONNECTED = frozenset({"BUSY", "FAILED", "CONGESTION"})

_MENU = ScenarioLeg("menu", 0, 0, 1, "dst ivr_key_queue")
_TO_DESK = _MENU._replace(reason="dst ivr_key_extension")

_DIRECT: dict[str, tuple[str, str, ScenarioLeg]] = {
    "answered": ("answered", "ring talk", ScenarioLeg("callee", 0, 1, 2, _END)),
    "no-answer": ("no_answer", "given-up", ScenarioLeg("callee", 0, None, 1, _MISSED)),
    "timed-out": ("no_answer", "timeout", ScenarioLeg("callee", 0, None, 1, "dst timeout_hangup")),
    # A desk that is in another call never rings: the contract's sample has such a row.
    "engaged": ("busy", "", ScenarioLeg("callee", 0, None, 0, _ENGAGED)),
    "voicemail": (
        "voicemail",
        "patience message",
        ScenarioLeg("voicemail", 0, 1, 2, _MISSED, disposition="VOICEMAIL"),
    ),
    "busy": ("busy", "setup", ScenarioLeg("callee", 0, None, 1, _ENGAGED, disposition="BUSY")),
    "failed": (
        "failed",
        "setup",
        ScenarioLeg("callee", 0, None, 1, "dst hangup", disposition="FAILED"),
    ),
}
_DIRECT_SHARES: dict[str, dict[str, int]] = {
    "Inbound": {
        "answered": 147,
        "no-answer": 14,
        "timed-out": 13,
        "engaged": 3,
        "voicemail": 19,
        "busy": 10,
        "failed": 4,
    },
    "Outbound": {
        "answered": 650,
        "no-answer": 105,
        "timed-out": 75,
        "engaged": 20,
        "busy": 80,
        "failed": 40,
    },
    "Internal": {
        "answered": 760,
        "no-answer": 70,
        "timed-out": 56,
        "engaged": 14,
        "voicemail": 30,
        "busy": 60,
        "failed": 10,
    },
}


def _direct(call_type: str, ending: str, share: int) -> Scenario:
    outcome, phases, leg = _DIRECT[ending]
    trunk = "" if call_type == "Internal" else "own"
    if leg.to == "callee":
        leg = leg._replace(to="outside" if call_type == "Outbound" else "desk")
    return Scenario(
        call_type,
        share,
        outcome,
        phases,
        (leg,),
        trunk,
        direct=True,
        without_reason="no_answer" if ending == "engaged" else "",
    )


SCENARIOS: dict[str, Scenario] = {
    f"{call_type.lower()}-{ending}": _direct(call_type, ending, share)
    for call_type, shares in _DIRECT_SHARES.items()
    for ending, share in shares.items()
} | {
    "ivr-only": Scenario(
        "Inbound", 70, "machine", "menu", (ScenarioLeg("menu", 0, 0, 1, _MISSED),)
    ),
    "ivr-extension": Scenario(
        "Inbound", 80, "answered", "menu ring talk", (_TO_DESK, ScenarioLeg("desk", 1, 2, 3, _END))
    ),
    "ivr-extension-missed": Scenario(
        "Inbound",
        30,
        "no_answer",
        "menu given-up",
        (_TO_DESK, ScenarioLeg("desk", 1, None, 2, _MISSED)),
    ),
    "ivr-extension-busy": Scenario(
        "Inbound",
        10,
        "busy",
        "menu setup",
        (_TO_DESK, ScenarioLeg("desk", 1, None, 2, _ENGAGED, disposition="BUSY")),
    ),
    # The queue's leg is connected as long as the agent's, and says the same talk again.
    "ivr-queue-answered": Scenario(
        "Inbound",
        200,
        "answered",
        "menu wait ring talk",
        (_MENU, ScenarioLeg("queue", 1, 3, 4, "dst connected"), ScenarioLeg("desk", 2, 3, 4, _END)),
        queues=("answered",),
    ),
    "queue-answered": Scenario(
        "Inbound",
        50,
        "answered",
        "wait ring talk",
        (ScenarioLeg("queue", 0, 2, 3, "dst connected"), ScenarioLeg("desk", 1, 2, 3, _END)),
        queues=("answered",),
    ),
    "queue-abandoned": Scenario(
        "Inbound",
        70,
        "no_answer",
        "menu wait",
        (_MENU, ScenarioLeg("queue", 1, None, 2, _MISSED)),
        queues=("no_answer",),
    ),
    "queue-survey": Scenario(
        "Inbound",
        90,
        "answered",
        "menu menu prompt wait ring talk survey",
        (
            ScenarioLeg("menu", 0, 0, 1, "dst ivr_key_ivr"),
            ScenarioLeg("submenu", 1, 1, 2, "dst ivr_key_queue"),
            ScenarioLeg("prompt", 2, 2, 3, "dst redirected"),
            ScenarioLeg("queue", 3, 5, 6, "dst connected"),
            ScenarioLeg("desk", 4, 5, 6, "dst redirected"),
            ScenarioLeg("survey", 6, 6, 7, "dst hangup"),
        ),
        queues=("answered",),
    ),
    "queue-voicemail": Scenario(
        "Inbound",
        20,
        "voicemail",
        "menu overflow message",
        (
            _MENU,
            ScenarioLeg("queue", 1, None, 2, "dst timeout_failover"),
            ScenarioLeg("voicemail", 2, 2, 3, _MISSED, disposition="VOICEMAIL"),
        ),
        queues=("passed_on",),
    ),
    "queue-overflow": Scenario(
        "Inbound",
        20,
        "answered",
        "menu overflow wait ring talk",
        (
            _MENU,
            ScenarioLeg("queue", 1, None, 2, "dst timeout_failover"),
            ScenarioLeg("other-queue", 2, 4, 5, "dst connected"),
            ScenarioLeg("desk", 3, 4, 5, _END),
        ),
        queues=("passed_on", "answered"),
    ),
    "ring-group-answered": Scenario(
        "Inbound",
        60,
        "answered",
        "ring talk",
        (ScenarioLeg("group", 0, 1, 2, "dst connected"), ScenarioLeg("desk", 0, 1, 2, _END)),
    ),
    "ring-group-missed": Scenario(
        "Inbound",
        15,
        "no_answer",
        "timeout",
        tuple(
            ScenarioLeg(to, 0, None, 1, "dst timeout_hangup")
            for to in ("group", "desk", "colleague", "third")
        ),
    ),
    "ring-group-voicemail": Scenario(
        "Inbound",
        15,
        "voicemail",
        "patience message",
        (
            ScenarioLeg("group", 0, None, 1, "dst timeout_failover"),
            ScenarioLeg("voicemail", 1, 1, 2, _MISSED, disposition="VOICEMAIL"),
        ),
    ),
    "extension-voicemail": Scenario(
        "Inbound",
        15,
        "voicemail",
        "patience message",
        (
            ScenarioLeg("desk", 0, None, 1, "dst timeout_failover"),
            ScenarioLeg("voicemail", 1, 1, 2, _MISSED, disposition="VOICEMAIL"),
        ),
    ),
    "blind-transfer": Scenario(
        "Inbound",
        13,
        "answered",
        "ring first-talk ring talk",
        (
            ScenarioLeg("desk", 0, 1, 2, "dst blind_transfer"),
            ScenarioLeg("colleague", 2, 3, 4, _END),
        ),
    ),
    "blind-transfer-missed": Scenario(
        "Inbound",
        4,
        "answered",
        "ring first-talk given-up",
        (
            ScenarioLeg("desk", 0, 1, 2, "dst blind_transfer"),
            ScenarioLeg("colleague", 2, None, 3, _MISSED),
        ),
    ),
    "attended-transfer": Scenario(
        "Inbound",
        8,
        "answered",
        "ring first-talk ring consult talk",
        (
            ScenarioLeg("desk", 0, 1, 4, "dst attended_transfer_answer"),
            ScenarioLeg("colleague", 2, 3, 4, "src attended_transfer_answer", by="consult"),
            ScenarioLeg("colleague", 4, 4, 5, _END),
        ),
    ),
    "forwarded-out": Scenario(
        "Inbound",
        10,
        "answered",
        "patience ring talk",
        (
            ScenarioLeg("desk", 0, None, 1, "dst forwarded"),
            ScenarioLeg("outside", 1, 2, 3, _END, by="forward"),
        ),
    ),
    "conference": Scenario(
        "Inbound", 4, "answered", "talk", (ScenarioLeg("conference", 0, 0, 1, _MISSED),)
    ),
    # A route that leads from one trunk straight out by another: one row, Outbound to the PBX.
    "passed-through": Scenario(
        "Inbound",
        5,
        "answered",
        "ring talk",
        (ScenarioLeg("outside", 0, 1, 2, _END, by="pass through"),),
    ),
    "passed-through-missed": Scenario(
        "Inbound",
        2,
        "no_answer",
        "given-up",
        (ScenarioLeg("outside", 0, None, 1, _MISSED, by="pass through"),),
    ),
    "blocked": Scenario(
        "Inbound",
        2,
        "blocked",
        "",
        (ScenarioLeg("desk", 0, None, 0, "src blacklist"),),
        without_reason="no_answer",
    ),
    # The PBX calls a desk to play a recording to whoever picks up.
    "recording-played": Scenario(
        "Internal",
        10,
        "machine",
        "ring prompt",
        (ScenarioLeg("desk", 0, 1, 2, "dst hangup", by="play"),),
        trunk="",
    ),
    "recording-not-heard": Scenario(
        "Internal",
        5,
        "machine",
        "timeout",
        (ScenarioLeg("desk", 0, None, 1, "dst timeout_hangup", by="play"),),
        trunk="",
    ),
    "play-file": Scenario(
        "Inbound", 6, "machine", "prompt", (ScenarioLeg("play-file", 0, 0, 1, "dst hangup"),)
    ),
    "outbound-retried": Scenario(
        "Outbound",
        30,
        "answered",
        "setup ring talk",
        (
            ScenarioLeg("outside", 0, None, 1, "dst redirected", disposition="FAILED"),
            ScenarioLeg("outside", 1, 2, 3, _END, by="second try"),
        ),
        trunk="second",
    ),
    # Never by itself: a disposition that the contract does not know.
    "unknown-disposition": Scenario(
        "Inbound",
        0,
        "unknown",
        "setup",
        (ScenarioLeg("desk", 0, None, 1, "dst hangup", disposition="CONGESTION"),),
    ),
}

CALL_TYPES = {"Inbound": 55, "Outbound": 30, "Internal": 15}
"""The share of each type among the calls of an office, in percent."""


def _shares(
    scenarios: Mapping[str, Scenario], call_types: Mapping[str, int] = CALL_TYPES
) -> dict[str, float]:
    """Return the share of each of *scenarios* among all calls, of which each type has its own."""
    of_type: Counter[str] = Counter()
    for each in scenarios.values():
        of_type[each.call_type] += each.share
    return {
        name: each.share / of_type[each.call_type] * call_types[each.call_type]
        for name, each in scenarios.items()
    }


def one_of(shares: Mapping[str, float]) -> DrawName:
    """Return what draws one of the names of *shares*, by its share."""
    values, weights = list(shares), list(accumulate(shares.values()))
    return lambda rng: rng.choices(values, cum_weights=weights)[0]


def always(name: str) -> DrawName:
    """Return what draws *name* each time. ValueError: there is no such scenario."""
    if name not in SCENARIOS:
        raise ValueError(f"scenario {name!r} is none of {', '.join(SCENARIOS)}")
    return lambda _: name


_DIRECT_ONES = {name: each for name, each in SCENARIOS.items() if each.direct}

any_scenario: DrawName = one_of(_shares(SCENARIOS))
"""Draws the name of what comes of one of the office's calls."""

direct_scenario: DrawName = one_of(_shares(_DIRECT_ONES))
"""Draws the name of a call of one leg, from one party straight to the other."""


def scenario_by_type(call_types: Mapping[str, int]) -> DrawName:
    """Return what draws scenarios as `any_scenario` does, with other shares of the call types."""
    return one_of(_shares(SCENARIOS, call_types))


LEGS_A_CALL = sum(
    share * len(SCENARIOS[name].legs) for name, share in _shares(SCENARIOS).items()
) / sum(CALL_TYPES.values())
"""Legs per call, on average of the office's calls."""
