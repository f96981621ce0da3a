"""From the values that are written to the settings of each PBX, and checks across settings.

Rule: a setting is taken from the entry of the PBX, else from the top of the file, else it is the
default that `settings` declares. A mistake is reported with the path where the value was written.

Relative paths start at the directory of the file, as in Prometheus, and not at the working
directory: whether the program finds its state again must not depend on where it is started from.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..metrics.catalogue import FAMILIES, TRAFFIC_FAMILIES
from ..settings import PBX, TLS, SecretSource, Settings
from ..settings.durations import format_duration
from ..settings.kinds import declared, group_of
from ..settings.values import is_plaintext, leaves_the_machine, server_of
from .mistake import BROKEN, Mistakes, Place, is_broken
from .reading import FILE, completed, read_file

Written = Mapping[str, Any]
"""The value of each setting that is written in one place, by key."""

_Entries = Sequence[tuple[int, Written]]
"""What is written of each PBX, with its number in the file."""

_TRAFFIC = {family.name for family in TRAFFIC_FAMILIES}
_WATCHED = {family.name for family in FAMILIES} - _TRAFFIC
_PBX = group_of(PBX)
_SECRET_KEYS = tuple(declared(SecretSource))
_CERTIFICATE_KEYS = tuple(key for key in declared(TLS) if key != "allow_plaintext")


def build_settings(content: object, place: Place, base: Path, mistakes: Mistakes) -> Any:
    """Return the settings in *content*, which is at *place*; `BROKEN` where *mistakes* has some.

    Those found here are noted there, or raised. *base* is the directory where relative paths
    start.
    """
    top = read_file(content, place, base, mistakes)
    if top is BROKEN:
        return BROKEN
    entries, hidden = place.key("pbxs"), place.key("hide_families")
    written = _items(top.get("pbxs", ()))
    common = {key: value for key, value in top.items() if key in _PBX.settings}
    pbxs = tuple(_pbx(entry, common, entries.item(n), mistakes) for n, entry in written)
    _refuse_shared_names(written, entries, mistakes)
    _refuse_shared_accounts(written, entries, mistakes)
    for n, name in _items(top.get("hide_families", ())):
        mistakes.attempt(_refuse_unknown_family, name, hidden.item(n))
    mistakes.attempt(_refuse_two_states, top, place)
    mistakes.attempt(_refuse_idle_lease, top, place)
    if mistakes.noted:
        return BROKEN
    settings: Settings = completed(FILE, {**top, "pbxs": pbxs})
    return replace(settings, state_dir=base / settings.state_dir)


def _refuse_two_states(top: Written, place: Place) -> None:
    if "state_dir" in top and "state_url_file" in top:
        raise place.key("state_url_file").mistake("and state_dir exclude each other; keep one")


def _refuse_idle_lease(top: Written, place: Place) -> None:
    if top.get("lease", BROKEN) is not BROKEN and "state_url_file" not in top:
        raise place.key("lease").mistake(
            "is for replicas over a database; add state_url_file, or remove this"
        )


def _items(values: Any) -> list[tuple[int, Any]]:
    """Return those of *values* that are not `BROKEN`, each with its number."""
    listed = () if values is BROKEN else values
    return [(n, value) for n, value in enumerate(listed) if value is not BROKEN]


def _pbx(entry: Written, common: Written, place: Place, mistakes: Mistakes) -> Any:
    """Return the PBX of *entry*, or `BROKEN`; *common* is what is written for all PBXs."""
    mistakes.attempt(_refuse_not_one_secret, entry, place)
    if is_broken(entry) or is_broken(common) or not _is_complete(entry):
        return BROKEN
    pbx: PBX = completed(_PBX, entry, common)
    mistakes.attempt(_refuse_clear_text, pbx, place)
    mistakes.attempt(_refuse_odd_trust, pbx, place.key("tls"))
    _refuse_shared_prefixes(pbx, place.key("destinations"), mistakes)
    if "stale_after" not in entry and "stale_after" not in common:
        return replace(pbx, stale_after=max(pbx.stale_after, 4 * pbx.poll_interval))
    mistakes.attempt(_refuse_stale_too_early, pbx, entry, place)
    return pbx


def _is_complete(entry: Written) -> bool:
    return all(key in entry for key, setting in _PBX.settings.items() if setting.is_required)


def _refuse_shared_names(entries: _Entries, place: Place, mistakes: Mistakes) -> None:
    owners: dict[str, Place] = {}
    for n, entry in entries:
        name, here = entry.get("name", BROKEN), place.item(n)
        if name is not BROKEN:
            mistakes.attempt(_refuse_shared_name, here, owners.setdefault(name.casefold(), here))


def _refuse_shared_name(place: Place, owner: Place) -> None:
    if place is not owner:
        raise place.key("name").mistake(
            f"is the name of {owner.path} too, upper and lower case taken as one; change it"
        )


def _refuse_shared_accounts(entries: _Entries, place: Place, mistakes: Mistakes) -> None:
    """Refuse one account of one PBX in two entries: both would count the same calls."""
    owners: dict[tuple[str, int, str], Place] = {}
    for n, entry in entries:
        url, client_id = (entry.get(key, BROKEN) for key in ("base_url", "client_id"))
        if url is not BROKEN and client_id is not BROKEN:
            (host, port), here = server_of(url), place.item(n)
            owner = owners.setdefault((host.rstrip("."), port, client_id), here)
            mistakes.attempt(_refuse_shared_account, here, owner)


def _refuse_shared_account(place: Place, owner: Place) -> None:
    if place is not owner:
        raise place.mistake(
            f"has host, port and client_id of {owner.path} too, so both would "
            "count the same calls; remove one, or give it a client_id of its own"
        )


def _refuse_unknown_family(name: str, place: Place) -> None:
    """Refuse what is no metric of calls or rows.

    The others have few series, and most of them are there for alerts, which would be silent.
    """
    if name in _WATCHED:
        raise place.mistake(
            "is about a PBX or the exporter, which alerts watch; write metrics of calls or rows"
        )
    if name not in _TRAFFIC:
        near = difflib.get_close_matches(name, _TRAFFIC)
        hint = f"did you mean {' or '.join(near)}?" if near else "see docs/metrics.md for all"
        raise place.mistake(f"is no metric of calls or rows; {hint}")


def _refuse_not_one_secret(entry: Written, place: Place) -> None:
    written = [key for key in _SECRET_KEYS if key in entry]
    if not written:
        raise place.mistake(f"has no client secret; set one of {', '.join(_SECRET_KEYS)}")
    if len(written) > 1:
        raise place.mistake(f"{' and '.join(written)} say the same thing; keep one")


def _refuse_clear_text(pbx: PBX, place: Place) -> None:
    in_clear = is_plaintext(pbx.base_url) and leaves_the_machine(pbx.base_url)
    if in_clear and not pbx.tls.allow_plaintext:
        raise place.key("base_url").mistake(
            "is http:// to another machine, which would send the secret in clear text; "
            "write https://, or set tls.allow_plaintext: true"
        )


def _refuse_odd_trust(pbx: PBX, place: Place) -> None:
    written = [key for key in _CERTIFICATE_KEYS if getattr(pbx.tls, key)]
    if len(written) > 1:
        raise place.mistake(f"{' and '.join(written)} exclude each other; keep one")
    if written and is_plaintext(pbx.base_url):
        raise place.key(written[0]).mistake(
            "has no effect on http://; remove it, or write https:// in base_url"
        )


def _refuse_shared_prefixes(pbx: PBX, place: Place, mistakes: Mistakes) -> None:
    owners: dict[str, Place] = {}
    for label, prefixes in pbx.destinations.items():
        for n, prefix in enumerate(prefixes):
            here = place.key(label).item(n)
            mistakes.attempt(_refuse_shared_prefix, here, owners.setdefault(prefix, here))


def _refuse_shared_prefix(place: Place, owner: Place) -> None:
    if place is not owner:
        raise place.mistake(f"is the same as {owner.path}; keep one")


def _refuse_stale_too_early(pbx: PBX, entry: Written, place: Place) -> None:
    """Refuse a time after which counters are hidden that is not longer than two polls.

    The mistake is where `stale_after` is written, and names an interval from elsewhere.
    """
    if pbx.stale_after >= 2 * pbx.poll_interval:
        return
    of_this_pbx = "stale_after" in entry
    where = (place if of_this_pbx else Place(place.lines)).key("stale_after")
    is_elsewhere = "poll_interval" in entry and not of_this_pbx
    interval = place.key("poll_interval").path if is_elsewhere else "poll_interval"
    is_now, polled, least = map(
        format_duration, (pbx.stale_after, pbx.poll_interval, 2 * pbx.poll_interval)
    )
    raise where.mistake(f"{is_now} is less than twice {interval} ({polled}); write {least} or more")
