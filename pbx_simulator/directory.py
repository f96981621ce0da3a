"""The extensions, trunks, queues and numbers of simulated offices, and of who calls them.

Rule: no person is real. Numbers come from ranges that regulators keep for films (Bundesnetzagentur:
030 23125, 069 90009, 040 66969; North America: 555-01xx), addresses from the blocks that
RFC 5737 keeps for documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

_ABROAD = 0.1  # share of the numbers outside

PLAY_FILE, PROMPT, SURVEY = "PlayFile", "Play Prompt", "Satisfaction Survey"
"""Callees without a number, the same on each PBX."""


class Extension(NamedTuple):
    """A desk: who sits there, its number, its telephone's address."""

    name: str
    number: str
    address: str

    @property
    def shown(self) -> str:
        """The party as `call_from` and `call_to` show it: `Name<number>`."""
        return f"{self.name}<{self.number}>"


class Country(NamedTuple):
    """How numbers are dialled: the country's code, and what is dialled before a number."""

    code: str
    national: str
    international: str


class NumberBlock(NamedTuple):
    """Numbers of one *beginning*, that go on with *first* to *last* in so many *digits*."""

    beginning: str
    first: int
    last: int
    digits: int

    def draw(self, rng: Random) -> str:
        """Return one of the numbers."""
        return f"{self.beginning}{rng.randint(self.first, self.last):0{self.digits}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Who and what one office's PBX knows, and who calls it.

    *trunks* and *dids* map to shares of the calls with the outside, in percent, *trunk_addresses*
    maps trunks to addresses, *queues* numbers to names. *own_numbers* is what stands before the
    last three digits of an extension in the number that it shows outside. Numbers outside are of
    *callers*, one in ten of *callers_abroad*.
    """

    country: Country
    extensions: Sequence[Extension]
    trunks: Mapping[str, int]
    trunk_addresses: Mapping[str, str]
    dids: Mapping[str, int]
    queues: Mapping[str, str]
    own_numbers: str
    callers: Sequence[NumberBlock]
    callers_abroad: NumberBlock
    shown_caller: str = "Muster GmbH"
    menu: str = "IVR Welcome<6200>"
    submenu: str = "IVR Language<6201>"
    ring_group: str = "RingGroup Front Desk<6300>"
    conference: str = "Conference Birch Room<6500>"

    def outside_number(self, rng: Random) -> str:
        """Return a made-up number outside."""
        if rng.random() < _ABROAD:
            return self.callers_abroad.draw(rng)
        return rng.choice(self.callers).draw(rng)

    def dialled(self, number: str) -> str:
        """Return *number* as somebody in the office dials it."""
        if number.startswith(self.country.code):
            return self.country.national + number.removeprefix(self.country.code)
        return self.country.international + number.removeprefix("+")

    def destination(self, number: str) -> str:
        """Return where *number*, as dialled, leads: `international` or `national`."""
        return "international" if number.startswith(self.country.international) else "national"

    def queue(self, number: str) -> str:
        """Return the queue *number* as `call_to` shows it."""
        return f"Queue {self.queues[number]}<{number}>"

    def own_number(self, extension: Extension) -> str:
        """Return what a called party sees when *extension* calls."""
        return f"{self.own_numbers}{extension.number[-3:]}"


def _extensions(names: Sequence[str], first: int, network: str) -> Sequence[Extension]:
    return tuple(
        Extension(name, str(first + desk), f"{network}.{101 + desk}")
        for desk, name in enumerate(names)
    )


_GERMANY, _NORTH_AMERICA = Country("+49", "0", "00"), Country("+1", "1", "011")

BERLIN = Directory(
    country=_GERMANY,
    extensions=_extensions(
        (
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
        ),
        2001,
        "192.0.2",
    ),
    trunks={"SIP-Provider": 70, "PSTN": 22, "Backup": 8},
    trunk_addresses={
        "SIP-Provider": "198.51.100.10",
        "PSTN": "198.51.100.20",
        "Backup": "198.51.100.30",
    },
    dids={"+493023125100": 60, "+493023125200": 30, "+493023125300": 10},
    queues={"6400": "Support", "6401": "Sales"},
    own_numbers="+493023125",
    callers=(NumberBlock("+496990009", 0, 999, 3), NumberBlock("+494066969", 0, 999, 3)),
    callers_abroad=NumberBlock("+1202555", 100, 199, 4),
)
"""An office in Berlin: the one that is simulated unless another is asked for."""

BOSTON = Directory(
    country=_NORTH_AMERICA,
    extensions=_extensions(
        (
            "Abby Alder",
            "Ben Birch",
            "Cora Cedar",
            "Dan Dogwood",
            "Eve Elm",
            "Finn Fir",
            "Gwen Gum",
            "Hal Hazel",
        ),
        1001,
        "203.0.113",
    ),
    trunks={"Carrier East": 64, "Carrier West": 36},
    trunk_addresses={"Carrier East": "198.51.100.40", "Carrier West": "198.51.100.50"},
    dids={"+16175550100": 80, "+16175550101": 20},
    queues={"6400": "Orders", "6401": "Returns"},
    own_numbers="+161755501",
    callers=(NumberBlock("+1202555", 100, 199, 4), NumberBlock("+1212555", 100, 199, 4)),
    callers_abroad=NumberBlock("+496990009", 0, 999, 3),
    shown_caller="Sample Inc",
    ring_group="RingGroup Reception<6300>",
    conference="Conference Harbor<6500>",
)
"""A call centre in Boston."""
