"""Offices that telephone by chance for seven weeks, and what goes wrong in the last of them.

`alert_scenarios` has offices without chance, in which each alert is seen by itself. Here calls come
as they do in life: most on Monday and before noon, few at lunch, tried again when nobody answers,
in bursts, some late in the evening, one in fifty long. So it is seen how soon a trouble is told,
when the alert ends, and what fires without. What an office writes are rows of a PBX, which
`counted_office` counts.

    week 0, 1    the past that is compared with
    week 2 to 5  a month in which nothing is to be told: two public holidays, a restart, a PBX that
                 cannot be reached for an hour, and a change of the clocks at the end of week 4
    week 6       the troubles

Times are seconds of the office's own clock since the Monday on which week 0 begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

MINUTE, HOUR, DAY, WEEK = 60, 3_600, 86_400, 604_800

WEEKS, QUIET_FROM, TROUBLES_FROM = 7, 2 * WEEK, 6 * WEEK

BEGIN = 1_771_804_800
"""Monday, 2026-02-23, 00:00 UTC."""

CLOCKS_CHANGE = 5 * WEEK - DAY + 2 * HOUR
"""On the Sunday of week 4; by the clock of before."""

HOLIDAYS = (3 * WEEK + 3 * DAY, 5 * WEEK + 4 * DAY)
"""The midnights of a Thursday and a Friday."""

RESTART = 2 * WEEK + DAY + 10 * HOUR + 30 * MINUTE, 7 * MINUTE
AWAY = 5 * WEEK + 2 * DAY + 14 * HOUR, HOUR
"""Begin and length: nothing is scraped; the PBX does not answer."""

BY_WEEKDAY = (1.3, 1.05, 1.0, 0.95, 0.8)
"""How busy an office is, Monday to Friday."""

BY_HOUR = dict(
    enumerate((0.2, 1, 1.6, 1.8, 1.4, 0.5, 0.7, 1.5, 1.6, 1.2, 0.5, 0.15, 0.05), start=7)
)
"""How busy each hour of a working day is, from seven to eight in the evening."""

TRUNKS = {"provider": 0.6, "second": 0.3, "mobile": 0.1}

Row = dict[str, Any]
"""A row as the PBX sends it."""

Spoilt = Callable[["Diary", float], bool]
"""What a trouble does to a call that begins: writes what comes of it and says so, or leaves it."""


@dataclass
class Diary:
    """Writes down the calls of one office of *size* calls a day."""

    size: int
    chance: Random
    spring: bool = True
    rows: list[Row] = field(default_factory=list)
    number: int = 0

    @property
    def offsets(self) -> tuple[int, int]:
        """The seconds east of UTC before and after the change of the clocks."""
        return (HOUR, 2 * HOUR) if self.spring else (2 * HOUR, HOUR)

    @property
    def change(self) -> int:
        """Return when the clocks change, in epoch seconds."""
        return BEGIN + CLOCKS_CHANGE - self.offsets[0]

    def epoch(self, local: float) -> int:
        """Return the epoch seconds of a time of the office."""
        return BEGIN + int(local) - self.offsets[local >= CLOCKS_CHANGE]

    def call(self, *legs: tuple[float, str, int, int, str, dict[str, str]]) -> None:
        """Write the legs of a call: (begin, disposition, ring, talk, to whom, other fields)."""
        self.number += 1
        for begin, disposition, ring, talk, callee, others in legs:
            self.rows.append(
                {
                    "timestamp": self.epoch(begin),
                    "uid": f"call-{self.number}",
                    "call_from": "0301234567",
                    "call_to": callee,
                    "duration": ring + talk,
                    "ring_duration": ring,
                    "talk_duration": talk,
                    "disposition": disposition,
                    **others,
                }
            )

    def trunk(self) -> str:
        return self.chance.choices(list(TRUNKS), list(TRUNKS.values()))[0]

    def chosen(self, **weights: float) -> str:
        return self.chance.choices(list(weights), list(weights.values()))[0]

    def talk(self) -> int:
        """Draw how long people talk: one call in fifty from half an hour to two hours."""
        if self.chance.random() < 0.02:
            return int(self.chance.uniform(1800, 7200))
        return int(min(self.chance.lognormvariate(4.6, 0.9), 1800)) + 1

    def times(self, number: float) -> int:
        """Draw how many there are where *number* are usual."""
        whole = int(number)
        return round(self.chance.gauss(number, number**0.5)) if whole > 20 else self._few(number)

    def _few(self, number: float) -> int:
        found, passed = 0, self.chance.expovariate(1)
        while passed < number:
            found, passed = found + 1, passed + self.chance.expovariate(1)
        return found


# --- Calls ----------------------------------------------------------------------------------------

INBOUND, INTERNAL = {"call_type": "Inbound"}, {"call_type": "Internal"}
PHONES = [f"Person {n}<{1000 + n}>" for n in range(20)]


def inbound(diary: Diary, begin: float, outcome: str, wait: int = 10) -> float:
    """Write an inbound call with *outcome*, half of them through a menu; return when it ends."""
    fields = {**INBOUND, "src_trunk": diary.trunk(), "did_number": "+49305550"}
    phone = diary.chance.choice(PHONES)
    menu = int(diary.chance.uniform(5, 30))
    first = [(begin, "ANSWERED", 0, menu, "IVR Main<6200>", fields)]
    if outcome == "machine":
        diary.call(*first)
        return begin + menu
    through = diary.chance.random() < 0.5
    at = begin + menu if through else begin
    talk = diary.talk() if outcome == "answered" else 0
    if outcome == "voicemail":
        wait, talk = 20, int(diary.chance.uniform(5, 60))
    disposition = {"answered": "ANSWERED", "voicemail": "VOICEMAIL"}.get(outcome, "NO ANSWER")
    diary.call(*(first if through else []), (at, disposition, wait, talk, phone, fields))
    return at + wait + talk


def people(diary: Diary, begin: float, answered: float, mean_wait: float) -> None:
    """Write a call to people of whom *answered* take it; who gets none tries again."""
    others = 1 - answered
    for _ in range(3):
        outcome = diary.chosen(
            answered=answered, no_answer=0.5 * others, voicemail=0.3 * others, machine=0.2 * others
        )
        end = inbound(diary, begin, outcome, 2 + int(diary.chance.expovariate(1 / mean_wait)))
        if outcome != "no_answer" or diary.chance.random() < 0.5:
            return
        begin = end + diary.chance.uniform(2, 10) * MINUTE


def closed(diary: Diary, begin: float) -> None:
    """Write a call to an office in which nobody is."""
    inbound(diary, begin, diary.chosen(machine=1, voicemail=1, no_answer=1), 30)


def attempt(
    diary: Diary, begin: float, trunk: str, disposition: str, talk: int = 0, **others: str
) -> float:
    """Write a row by which a call leaves; return when it ends."""
    ring = 0 if disposition == "FAILED" else int(diary.chance.uniform(3, 30))
    fields = {"call_type": "Outbound", "dst_trunk": trunk, **others}
    diary.call((begin, disposition, ring, talk, "0401234567", fields))
    return begin + ring + talk


def outbound(diary: Diary, begin: float, trunk: str = "") -> None:
    """Try a number up to three times; one in fifty is wrong and fails each time."""
    trunk = trunk or diary.trunk()
    wrong = diary.chance.random() < 0.02
    for _ in range(3):
        disposition = diary.chance.choices(
            ["ANSWERED", "NO ANSWER", "BUSY", "FAILED"], [70, 18, 9, 3]
        )[0]
        if wrong:
            disposition = "FAILED"
        end = attempt(diary, begin, trunk, disposition, diary.talk() * (disposition == "ANSWERED"))
        if disposition == "ANSWERED":
            return
        begin = end + diary.chance.uniform(0.2, 5) * MINUTE


def internal(diary: Diary, begin: float) -> None:
    phone = diary.chance.choice(PHONES)
    diary.call((begin, "ANSWERED", 4, min(diary.talk(), 600), phone, INTERNAL))


# --- A usual day ----------------------------------------------------------------------------------


def leave(_diary: Diary, _begin: float) -> bool:
    return False


@dataclass(frozen=True)
class Trouble:
    """What happens from *begin* to *end*, to calls of each kind, and *more* calls beside them.

    What has no end is over at once.
    """

    name: str
    begin: float
    end: float = 0
    inbound: Spoilt = leave
    outbound: Spoilt = leave
    more: Callable[[Diary, float, float], None] = lambda _diary, _begin, _end: None

    def spoils(self, diary: Diary, kind: str, begin: float) -> bool:
        if not self.begin <= begin < self.end:
            return False
        return {"inbound": self.inbound, "outbound": self.outbound}[kind](diary, begin)


def working_day(diary: Diary, midnight: float, troubles: Sequence[Trouble]) -> None:
    """Write the calls of a day from Monday to Friday."""
    chance = diary.chance
    busy = BY_WEEKDAY[int(midnight // DAY % 7)] * chance.lognormvariate(0, 0.15)
    total = sum(BY_HOUR.values())
    for hour, weight in BY_HOUR.items():
        share = diary.size * busy * weight / total
        in_a_meeting = chance.random() < 0.05
        answered = 0.45 if in_a_meeting else chance.uniform(0.65, 0.85)
        wait = 40 if in_a_meeting else chance.uniform(8, 20)
        spread(
            diary,
            midnight + hour * HOUR,
            0.5 * share,
            lambda diary, at: people(diary, at, answered, wait),  # noqa: B023 (called at once)
            "inbound",
            troubles,
        )
        spread(diary, midnight + hour * HOUR, 0.22 * share, outbound, "outbound", troubles)
        spread(diary, midnight + hour * HOUR, 0.18 * share, internal, "", ())
    if chance.random() < 0.1:
        burst(diary, midnight, troubles)
    evening(diary, midnight)


def spread(
    diary: Diary,
    begin: float,
    number: float,
    write: Callable[[Diary, float], None],
    kind: str,
    troubles: Sequence[Trouble],
) -> None:
    """Write about *number* calls that begin in the hour after *begin*."""
    for _ in range(diary.times(number)):
        at = begin + diary.chance.uniform(0, HOUR)
        if not any(trouble.spoils(diary, kind, at) for trouble in troubles):
            write(diary, at)


def burst(diary: Diary, midnight: float, troubles: Sequence[Trouble]) -> None:
    """Somebody works off a list of numbers."""
    begin = midnight + diary.chance.uniform(9, 15) * HOUR
    for _ in range(diary.times(3 + diary.size * 0.1)):
        at = begin + diary.chance.uniform(0, 1.5) * HOUR
        if not any(trouble.spoils(diary, "outbound", at) for trouble in troubles):
            outbound(diary, at)


def evening(diary: Diary, midnight: float) -> None:
    """Calls after hours, somebody who stays longer, and a long call past eight."""
    chance = diary.chance
    for _ in range(diary.times(diary.size * 0.04)):
        closed(diary, midnight + chance.uniform(18, 31) * HOUR)
    if chance.random() < 0.15:
        for _ in range(chance.randint(1, 3)):
            outbound(diary, midnight + chance.uniform(18.5, 21.5) * HOUR)
    if chance.random() < (0.1 if diary.size > 100 else 0.03):
        begin = midnight + chance.uniform(18.5, 19.75) * HOUR
        attempt(diary, begin, diary.trunk(), "ANSWERED", int(chance.uniform(3600, 7200)))


def free_day(diary: Diary, midnight: float, *, somebody: float) -> None:
    """Write a day of a weekend or a holiday, on which *somebody* works with that probability."""
    chance = diary.chance
    for _ in range(diary.times(diary.size * 0.05)):
        closed(diary, midnight + chance.uniform(8, 20) * HOUR)
    if chance.random() < somebody:
        begin = midnight + chance.uniform(8, 14) * HOUR
        for _ in range(chance.randint(2, 6)):
            outbound(diary, begin + chance.uniform(0, 3) * HOUR)


# --- Troubles -------------------------------------------------------------------------------------


def refused(trunk: str) -> Spoilt:
    """Let each outbound call by *trunk* fail: three times at once, and half of them later again."""

    def change(diary: Diary, begin: float) -> bool:
        if diary.trunk() != trunk:
            outbound(diary, begin, "second" if trunk != "second" else "mobile")
            return True
        again = diary.chance.random() < 0.5
        for at in (0, 40, 100, *((1500, 1560) if again else ())):
            attempt(diary, begin + at, trunk, "FAILED")
        return True

    return change


def all_to(outcome: str) -> Spoilt:
    """Let each inbound call end with *outcome*; half of the callers try again."""

    def change(diary: Diary, begin: float) -> bool:
        for _ in range(2):
            end = inbound(diary, begin, outcome, 45)
            if diary.chance.random() < 0.5:
                break
            begin = end + diary.chance.uniform(1, 10) * MINUTE
        return True

    return change


def nothing(_diary: Diary, _begin: float) -> bool:
    return True


Talking = Callable[[Diary, float, int], float]


def dialled(diary: Diary, begin: float, talk: int) -> float:
    return attempt(diary, begin, "provider", "ANSWERED", talk)


def forwarded(diary: Diary, begin: float, talk: int) -> float:
    """Write a call that comes in by a trunk and leaves by another; it is one row."""
    return attempt(diary, begin, "second", "ANSWERED", talk, src_trunk="provider")


def forwarded_as_inbound(diary: Diary, begin: float, talk: int) -> float:
    """Write the same as a PBX would that calls it inbound."""
    return attempt(
        diary, begin, "second", "ANSWERED", talk, src_trunk="provider", call_type="Inbound"
    )


def through_disa(diary: Diary, begin: float, talk: int) -> float:
    """Write a call that comes in and dials on from within."""
    came = {**INBOUND, "src_trunk": "provider"}
    left = {"call_type": "Outbound", "src_trunk": "provider", "dst_trunk": "second"}
    diary.call(
        (begin, "ANSWERED", 0, 15, "DISA<6700>", came),
        (begin + 15, "ANSWERED", 10, talk, "0088123456", left),
    )
    return begin + 25 + talk


def telephoning(
    lines: int, talk: int, pause: int, how: Talking = dialled
) -> Callable[[Diary, float, float], None]:
    """Return what adds calls on *lines* at once, of about *talk* seconds, *pause* seconds apart."""

    def more(diary: Diary, begin: float, end: float) -> None:
        for _ in range(lines):
            now = begin + diary.chance.uniform(0, pause)
            while now < end:
                now = how(diary, now, int(talk * diary.chance.uniform(0.7, 1.3))) + pause

    return more


def emergency(diary: Diary, begin: float, _end: float) -> None:
    fields = {"call_type": "Outbound", "dst_trunk": "provider"}
    diary.call((begin, "ANSWERED", 3, 90, "112", fields))


def troubles(chance: Random) -> list[Trouble]:
    """Return the troubles of the last week; when they begin is drawn."""
    monday, tuesday, wednesday, thursday, friday, saturday, sunday = (
        TROUBLES_FROM + day * DAY for day in range(7)
    )

    def between(day: float, first: float, last: float) -> float:
        return day + chance.uniform(first, last) * HOUR

    return [
        Trouble(
            "dead trunk", between(monday, 8, 12), monday + 17 * HOUR, outbound=refused("provider")
        ),
        Trouble(
            "fraud by night",
            between(monday, 21.5, 25),
            tuesday + 5.5 * HOUR,
            more=telephoning(3, 1200, 30),
        ),
        Trouble("menu", between(tuesday, 9, 10.5), tuesday + 16 * HOUR, inbound=all_to("machine")),
        Trouble(
            "forwarding by night",
            between(tuesday, 21.5, 25),
            wednesday + 5 * HOUR,
            more=telephoning(2, 900, 30, forwarded),
        ),
        Trouble(
            "forwarding by day",
            between(monday, 9, 12),
            monday + 17 * HOUR,
            more=telephoning(3, 900, 30, forwarded),
        ),
        Trouble("no inbound", wednesday + 7 * HOUR, wednesday + 18 * HOUR, inbound=nothing),
        Trouble(
            "DISA by night",
            between(wednesday, 21.5, 26),
            thursday + 5 * HOUR,
            more=telephoning(2, 600, 60, through_disa),
        ),
        Trouble(
            "nobody answers",
            between(thursday, 8, 9.5),
            thursday + 17 * HOUR,
            inbound=all_to("no_answer"),
        ),
        Trouble(
            "forwarding that is called inbound",
            between(friday, 21.5, 25),
            saturday + 5 * HOUR,
            more=telephoning(3, 900, 30, forwarded_as_inbound),
        ),
        Trouble("emergency", between(thursday, 0, 24), more=emergency),
        Trouble(
            "voicemail", between(friday, 8, 9.5), friday + 17 * HOUR, inbound=all_to("voicemail")
        ),
        Trouble(
            "dialler",
            between(thursday, 11, 15),
            thursday + 17 * HOUR,
            more=telephoning(2, 1, 20),
        ),
        Trouble(
            "fraud on a weekend",
            between(saturday, 9, 16),
            saturday + 20 * HOUR,
            more=telephoning(3, 1200, 60),
        ),
        Trouble(
            "forwarding on a weekend",
            between(sunday, 10, 14),
            sunday + 20 * HOUR,
            more=telephoning(1, 1500, 30, forwarded),
        ),
    ]


def written(size: int, seed: int, weeks: int = WEEKS) -> tuple[Diary, list[Trouble]]:
    """Return what an office wrote, and the troubles it had."""
    diary = Diary(size, Random(f"{size}-{seed}"), spring=bool(seed % 2))
    planned = troubles(diary.chance)
    for day in range(weeks * 7):
        midnight = day * DAY
        if midnight in HOLIDAYS:
            free_day(diary, midnight, somebody=0.5)
        elif day % 7 < 5:
            working_day(diary, midnight, planned)
        else:
            free_day(diary, midnight, somebody=0.15)
    for trouble in planned:
        if trouble.begin < weeks * WEEK:
            trouble.more(diary, trouble.begin, trouble.end)
    return diary, planned


def unreached(diary: Diary) -> Iterator[tuple[int, int, bool]]:
    """Yield from when to when (epoch seconds) nothing is counted, and whether we still run."""
    for (begin, length), running in ((RESTART, False), (AWAY, True)):
        yield diary.epoch(begin), diary.epoch(begin) + length, running
