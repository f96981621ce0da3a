"""The extensions, trunks, queues and numbers of the simulated office, and of who calls it.

Rule: no person is real. Numbers come from ranges that regulators keep for films (Bundesnetzagentur:
030 23125, 069 90009, 040 66969; North America: 555-01xx), addresses from the blocks that
RFC 5737 keeps for documentation.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Extension(NamedTuple):
    """A desk: who sits there, its number, its telephone's address."""

    name: str
    number: str
    address: str

    @property
    def shown(self) -> str:
        """The party as `call_from` and `call_to` show it: `Name<number>`."""
        return f"{self.name}<{self.number}>"


_NAMES = (
    "Ada Ahorn",
    "Bruno Birke",
    "Clara Distel",
    "David Eibe",
    "Emma Farn",
    "Felix Ginster",
    "Greta Holler",
    "Henri Iris",
    "Ida Kastanie",
    "Jonas Linde",
    "Käthe Mohn",
    "Leo Nessel",
)
EXTENSIONS = tuple(
    Extension(name, str(2001 + desk), f"192.0.2.{101 + desk}") for desk, name in enumerate(_NAMES)
)

TRUNKS = {"SIP-Provider": 70, "PSTN": 22, "Backup": 8}
"""Name → share of the calls with the outside, in percent."""

TRUNK_ADDRESSES = {
    "SIP-Provider": "198.51.100.10",
    "PSTN": "198.51.100.20",
    "Backup": "198.51.100.30",
}

MENU, SUBMENU = "IVR Welcome<6200>", "IVR Language<6201>"
RING_GROUP = "RingGroup Front Desk<6300>"
CONFERENCE = "Conference Birch Room<6500>"
PLAY_FILE, PROMPT, SURVEY = "PlayFile", "Play Prompt", "Satisfaction Survey"

QUEUES = {"6400": "Support", "6401": "Sales"}
"""Number → name."""

DIDS = {"+493023125100": 60, "+493023125200": 30, "+493023125300": 10}
"""Own numbers → share of the calls from outside, in percent."""

_OUTSIDE = ("+496990009", "+494066969")


def outside_number(rng: Random) -> str:
    """Return a made-up caller's number; one in ten calls from North America."""
    if rng.random() < 0.1:
        return f"+1202555{rng.randint(100, 199):04}"
    return f"{rng.choice(_OUTSIDE)}{rng.randint(0, 999):03}"


def dialled(number: str) -> str:
    """Return *number* as somebody in the office dials it: `0…` within Germany, else `00…`."""
    if number.startswith("+49"):
        return "0" + number.removeprefix("+49")
    return "00" + number.removeprefix("+")


def destination(number: str) -> str:
    """Return where *number*, as dialled, leads: `international` or `national`."""
    return "international" if number.startswith("00") else "national"


def queue(number: str) -> str:
    """Return the queue *number* as `call_to` shows it."""
    return f"Queue {QUEUES[number]}<{number}>"


def own_number(extension: Extension) -> str:
    """Return what a called party sees when *extension* calls."""
    return f"+493023125{extension.number[-3:]}"
