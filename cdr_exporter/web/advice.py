"""What to do about a PBX that needs somebody: one table, in the words of the runbook.

Rule: each entry leads to the heading of `RUNBOOK.md` that says more, and a test compares the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import NamedTuple


class Advice(NamedTuple):
    """*problem* and what to *do*, as sentences; *heading* is that of the runbook."""

    problem: str
    do: str
    heading: str

    @property
    def anchor(self) -> str:
        """Where the heading is on the page of the runbook."""
        return self.heading.lower()


def advice_html(advice: Advice, root: str) -> str:
    """Return *advice* as a paragraph; *root* leads from the page to `/`."""
    return (
        f'<p class="advice"><strong>{escape(advice.problem)}</strong> {escape(advice.do)} '
        f'<a href="{root}runbook#{advice.anchor}">More in the runbook: {advice.heading}</a></p>'
    )


_REFUSED = "The PBX refuses the exporter."

BLOCKED: Mapping[str, Advice] = {
    "credentials": Advice(
        _REFUSED,
        "The client_id or secret is wrong. Put the right secret where the exporter reads it; it "
        "logs in again by itself. After four refusals in a row it does not: then run cdr-exporter "
        "check --connect --last-try.",
        "CDRAuthBlocked",
    ),
    "ip_blocked": Advice(
        _REFUSED,
        "Remove the exporter's address from the PBX's blocked addresses.",
        "CDRAuthBlocked",
    ),
    "ip_forbidden": Advice(
        _REFUSED, "Add the exporter's address to those allowed to use the API.", "CDRAuthBlocked"
    ),
    "token_cap": Advice(
        "Eight tokens of this client_id are valid, which is as many as a PBX issues.",
        "Give the exporter its own API application. It logs in by itself as soon as a token is "
        "free.",
        "CDRTokenCap",
    ),
    "denied": Advice(
        _REFUSED, "Give the API application the right to read call records.", "CDRAuthBlocked"
    ),
    "api_disabled": Advice(_REFUSED, "Switch the API on (Integrations > API).", "CDRAuthBlocked"),
}
"""By the reason of `cdr_exporter_auth_blocked`."""

_UNREACHABLE = "The PBX is off, or a firewall or a missing route blocks the way."
_ANOTHER = "Something other than the PBX answers at this address, perhaps a proxy."
_REMOVE = "Remove the cause. Nothing has to be restarted."

FAILED: Mapping[str, Advice] = {
    "connect": Advice(_UNREACHABLE, _REMOVE, "CDRPBXDown"),
    "timeout": Advice(_UNREACHABLE, _REMOVE, "CDRPBXDown"),
    "tls": Advice(
        "Its certificate changed or expired and no longer matches ca_file or fingerprint_sha256.",
        _REMOVE,
        "CDRPBXDown",
    ),
    "http": Advice(_ANOTHER, _REMOVE, "CDRPBXDown"),
    "redirect": Advice(_ANOTHER, _REMOVE, "CDRPBXDown"),
    "garbled": Advice(_ANOTHER, _REMOVE, "CDRPBXDown"),
    "too_large": Advice(_ANOTHER, _REMOVE, "CDRPBXDown"),
    "throttled": Advice(
        "The PBX asks for fewer requests.", "Set a longer poll_interval.", "CDRPBXDown"
    ),
    "api": Advice("The PBX answers with an error code.", _REMOVE, "CDRPBXDown"),
    "auth": Advice(_REFUSED, _REMOVE, "CDRPBXDown"),
    "state": Advice(
        "The exporter refuses to use the state file of this PBX.",
        "The log says why and what to do.",
        "CDRPBXDown",
    ),
}
"""By the reason of `cdr_exporter_poll_failures_total`, where no reason of `BLOCKED` says more."""

STATE_NOT_WRITTEN = Advice(
    "The state file of this PBX cannot be written; nothing new is counted.",
    "Free some space, or correct the permissions. Each poll tries again.",
    "CDRStateNotWritable",
)
STATE_RESET = Advice(
    "The state file could not be used and was set aside; counting began again at the newest "
    "record.",
    "Put no copy of the state back now: the new one has been shown, so Prometheus would count the "
    "calls of the copy a second time.",
    "CDRStateReset",
)
LINEAGE_SUSPECT = Advice(
    "The rows that the exporter knows are gone, and the newest rows of the PBX are others; "
    "counting has paused.",
    "Make sure that one machine answers at this address.",
    "CDRLineageSuspect",
)
CLOCK_AHEAD = Advice(
    "By its clock, calls of the PBX began later than now, so its clock is ahead.",
    "Let the PBX set its clock by NTP.",
    "CDRPBXClockAhead",
)
CLOCK_OFF = Advice(
    "The PBX's clock is minutes away from the exporter's; the charts are off by as much.",
    "Let the PBX, or the exporter's machine, set its clock by NTP.",
    "CDRPBXClockOff",
)
DATABASE_AWAY = Advice(
    "The database does not tell which replica holds which PBX.",
    "Start the database, or repair the way to it.",
    "CDRDatabaseDown",
)
NOT_HELD = Advice(
    "A PBX that no replica holds is not polled.",
    "Let as many replicas run as there should be.",
    "CDRPBXNotHeld",
)

ALL = (
    *BLOCKED.values(),
    *FAILED.values(),
    STATE_NOT_WRITTEN,
    STATE_RESET,
    LINEAGE_SUSPECT,
    CLOCK_AHEAD,
    CLOCK_OFF,
    DATABASE_AWAY,
    NOT_HELD,
)
