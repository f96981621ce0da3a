"""Never a fifth refused login in a row, whoever sends it; and what ends the waiting."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cdr_exporter.errors import PBXError, TryAgain, WaitLong
from cdr_exporter.pbx import Client, Person
from cdr_exporter.pbx.file_documents import KeptFile

from ..support import lockout
from ..support.client_harness import FIRST_PAGE, failure
from ..support.lockout import RIGHT_CLIENT, Killed, Office, OfficeOnDisk
from ..support.login_lives import (
    EVENTS,
    REPLICA_EVENTS,
    Event,
    Life,
    LifeOfReplicas,
    LifeOnOneMachine,
)

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
WRONG = "wrong-secret"


@pytest.fixture
def office(tmp_path: Path) -> OfficeOnDisk:
    return OfficeOnDisk(tmp_path)


def poll_for(office: Office, hours: float, *clients: Client, every: float = MINUTE) -> None:
    """Let each of the clients fetch a page every minute, or every so many seconds."""
    end = office.clock.now + hours * HOUR
    while office.clock.now < end:
        for client in clients:
            with suppress(PBXError):
                client.fetch(FIRST_PAGE)
        office.clock.now += every


# --- one PBX, whoever asks


@pytest.mark.fault("A4", "A15")
def test_a_wrong_secret_beside_checks_with_others_ends_at_four_refusals(office: Office) -> None:
    exporter = office.client(secret=WRONG)
    for number in range(6 * 60):
        check = office.client(secret=f"wrong-{number}", person=Person())
        poll_for(office, 1 / 60, exporter, check)

    assert office.pbx.most == 4
    assert office.pbx.issuer.blocked == []


@pytest.mark.fault("A15")
def test_entries_of_one_pbx_share_its_patience_whatever_their_client_ids(office: Office) -> None:
    entries = [office.client(f"pbx{n}", client_id=f"client-{n}", secret=WRONG) for n in range(6)]
    poll_for(office, 48, *entries, every=10 * MINUTE)

    assert office.pbx.most == 4


@pytest.mark.fault("A15")
def test_one_secret_has_three_tries_and_a_changed_one_the_fourth(office: Office) -> None:
    poll_for(office, 48, office.client(secret=WRONG), every=5 * MINUTE)
    tries = office.pbx.logins
    poll_for(office, 48, office.client(secret="another"), every=5 * MINUTE)

    assert (tries, office.pbx.logins) == (3, 4)


@pytest.mark.fault("A15")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("192.0.2.1", "pbx.test", id="address-and-name"),
        pytest.param("pbx.test", "sip.test", id="two-names"),
        pytest.param("two.test", "192.0.2.2", id="one-of-two-addresses"),
        pytest.param("two.test", "pbx.test", id="names-that-share-an-address"),
        pytest.param("PBX.test", "pbx.test", id="letters"),
    ],
)
def test_a_pbx_is_told_by_its_addresses_whatever_it_is_called(
    office: Office, first: str, second: str
) -> None:
    office.pbx.names = {
        "pbx.test": ["192.0.2.1"],
        "sip.test": ["192.0.2.1"],
        "two.test": ["192.0.2.2", "192.0.2.1"],
    }
    for number in range(3):
        failure(office.client("a", host=first, secret=f"wrong-{number}"))
    for number in range(3):
        failure(office.client("b", host=second, client_id="b", secret=f"wrong-{number}"))

    assert office.pbx.most == 4


@pytest.mark.fault("A15")
def test_a_name_that_moves_to_another_address_takes_its_refusals_along(office: Office) -> None:
    for number in range(8):
        office.pbx.names["pbx.test"] = [f"192.0.2.{number}"]
        failure(office.client(host="pbx.test", secret=f"wrong-{number}"))

    assert office.pbx.most == 4


@pytest.mark.fault("A15")
def test_another_pbx_has_a_record_of_its_own(office: Office) -> None:
    for number in range(5):
        failure(office.client(secret=f"wrong-{number}"))

    office.client("branch", host="192.0.2.9").fetch(FIRST_PAGE)


@pytest.mark.fault("A15")
def test_the_success_of_another_client_id_frees_nothing(office: Office) -> None:
    """A PBX may count by address and client_id."""
    for number in range(3):
        failure(office.client("b", client_id="b", secret=f"wrong-{number}"))
    office.client("a").fetch(FIRST_PAGE)
    for number in range(3, 9):
        failure(office.client("b", client_id="b", secret=f"wrong-{number}"))

    assert office.pbx.most == 4


def test_a_success_frees_what_its_own_client_id_was_refused(office: Office) -> None:
    for _ in range(5):
        for number in range(3):
            failure(office.client(secret=f"wrong-{number}"))
        office.client().fetch(FIRST_PAGE)
        office.pbx.issuer.expire(refresh_too=True)
        office.clock.now += HOUR

    assert office.pbx.most == 3


def test_a_token_that_lives_is_used_on_though_nobody_may_log_in(office: Office) -> None:
    running = office.client()
    running.fetch(FIRST_PAGE)
    for number in range(5):
        failure(office.client("b", client_id="b", secret=f"wrong-{number}"))
    for _ in range(40):
        running.fetch(FIRST_PAGE)
        office.clock.now += 20 * MINUTE

    assert office.pbx.most == 4


# --- what is said


@pytest.mark.fault("A15")
def test_what_is_on_record_is_said_with_the_next_try_and_what_ends_the_wait(
    office: Office,
) -> None:
    said = [str(failure(office.client(secret=WRONG)))]
    said += [str(failure(office.client(secret=WRONG, person=Person())))]
    for hours in (1, 3, 5):
        office.clock.now += hours * HOUR
        said.append(str(failure(office.client(secret=WRONG))))
    said += [str(failure(office.client(secret="another"))) for _ in range(2)]

    refused = "client_id or client secret refused by 192.0.2.1:8088, try "
    last_try = "`cdr-exporter check --connect --last-try`"
    at_once = f", at once with another secret or {last_try}"
    first = f"1 of 3: the next is due at 2023-11-14 22:29 UTC{at_once}"
    second = f"2 of 3: the next is due at 2023-11-15 01:14 UTC{at_once}"
    never = f"3 of 3: no more until client_id or secret are changed, but by {last_try}"
    used_up = (
        "4 logins in a row to 192.0.2.1:8088 were refused, or may have been: the PBX blocks this "
        "machine's address after five, so nobody tries again, with whatever client_id and secret, "
        "until `cdr-exporter check --connect --last-try` is run; it takes that risk"
    )
    assert said == [
        refused + first,
        refused + first,
        refused + second,
        refused + never,
        refused + never,
        "client_id or client secret refused; " + used_up,
        used_up,
    ]


@pytest.mark.fault("A16")
@pytest.mark.parametrize("errcode", [40001, 20000, 70088])
def test_an_unknown_code_at_a_login_is_named_and_may_be_a_refusal(
    office: Office, errcode: int
) -> None:
    office.pbx.fate.extend([errcode] * 9)
    error = failure(office.client())

    assert isinstance(error, WaitLong)
    assert (error.errcode, error.blocked) == (errcode, "credentials")
    assert str(error).startswith(
        f"the PBX answered the login with error {errcode}, which this version does not know "
        "(192.0.2.1:8088); it may have counted it as refused, try 1 of 3: the next is due"
    )
    poll_for(office, 48, office.client(), every=5 * MINUTE)
    assert len(office.pbx.fate) == 9 - 3
    assert f"error {errcode}" in str(failure(office.client()))


def test_a_known_code_that_is_no_answer_to_a_login_is_named_too(office: Office) -> None:
    office.pbx.fate.append(10004)

    assert "answered the login with 10004 TOKEN EXPIRED" in str(failure(office.client()))


# --- logins without an answer


@pytest.mark.fault("A15")
@pytest.mark.parametrize(
    "fate", [lockout.LOST, lockout.GARBLED, lockout.UNAUTHORIZED, lockout.KILLED_AFTER]
)
def test_an_unproven_secret_that_is_never_answered_is_sent_four_times(
    office: Office, fate: str
) -> None:
    office.pbx.fate.extend([fate] * 99)
    tries = []
    for minute in range(6 * 60):
        before = office.pbx.logins
        with suppress(PBXError, Killed):
            office.client(secret=WRONG).fetch(FIRST_PAGE)
        tries += [minute] * (office.pbx.logins - before)
        office.clock.now += MINUTE

    assert tries == [0, 1, 16, 136]
    assert "`cdr-exporter check --connect --last-try`" in str(failure(office.client(secret=WRONG)))


@pytest.mark.fault("A15")
def test_a_pbx_that_is_slow_for_days_does_not_end_a_secret_that_had_worked(office: Office) -> None:
    office.client().fetch(FIRST_PAGE)
    office.pbx.issuer.expire(refresh_too=True)
    office.clock.now += HOUR
    office.pbx.fate.extend([lockout.HANGS] * 99)
    poll_for(office, 72, office.client(), every=5 * MINUTE)
    tried = 99 - len(office.pbx.fate)
    office.pbx.fate.clear()
    error = failure(office.client())
    office.clock.now += 2 * HOUR
    office.client().fetch(FIRST_PAGE)

    assert 30 <= tried <= 40
    assert isinstance(error, TryAgain)
    assert str(error).startswith(
        "the last login to 192.0.2.1:8088 was not answered, or not readably; the next login is due"
    )


@pytest.mark.fault("A15")
def test_logins_without_an_answer_count_as_refused_once_their_secret_is(office: Office) -> None:
    office.client().fetch(FIRST_PAGE)
    office.pbx.issuer.expire(refresh_too=True)
    office.clock.now += HOUR
    office.pbx.fate.extend([lockout.HANGS] * 3)
    poll_for(office, 1, office.client())
    office.pbx.issuer.change_secret("changed")
    office.clock.now += 2 * HOUR
    error = failure(office.client())
    again = failure(office.client(secret="third"))

    assert (error.blocked, again.blocked) == ("credentials", "credentials")
    assert "4 logins in a row" in str(again)
    assert office.pbx.most == 1


@pytest.mark.fault("A15")
def test_a_secret_that_another_entry_was_refused_with_is_not_proven(office: Office) -> None:
    office.client().fetch(FIRST_PAGE)
    office.pbx.issuer.expire(refresh_too=True)
    office.pbx.issuer.change_secret("changed")
    failure(office.client("same"))
    office.clock.now += HOUR
    office.pbx.fate.extend([lockout.LOST] * 99)
    poll_for(office, 72, office.client(), every=5 * MINUTE)

    assert office.pbx.most == 4


def test_a_secret_that_had_worked_for_another_state_directory_is_not_proven(
    office: OfficeOnDisk,
) -> None:
    office.client().fetch(FIRST_PAGE)
    office.pbx.issuer.expire(refresh_too=True)
    (office.directory / "hq.token").unlink()
    office.pbx.fate.extend([lockout.HANGS] * 99)
    poll_for(office, 72, office.client(), every=5 * MINUTE)

    assert len(office.pbx.fate) == 99 - 4


# --- what is on file


def records(office: OfficeOnDisk) -> list[Path]:
    return sorted(office.directory.glob(".logins-*-8088"))


@pytest.mark.fault("A15")
def test_what_is_on_file_holds_neither_client_id_nor_secret_and_is_private(
    office: OfficeOnDisk,
) -> None:
    office.pbx.names["pbx.test"] = ["192.0.2.1", "2001:db8::1"]
    failure(office.client(host="pbx.test", secret=WRONG))
    files = records(office)
    content = "".join(path.read_text() for path in files)

    assert [path.name for path in files] == [
        ".logins-192.0.2.1-8088",
        ".logins-2001_db8__1-8088",
        ".logins-pbx.test-8088",
    ]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert WRONG not in content
    assert RIGHT_CLIENT not in content


def test_nothing_is_on_file_of_logins_that_worked_or_were_not_sent(office: OfficeOnDisk) -> None:
    office.pbx.fate.extend([lockout.UNSENT, lockout.BUSY, 70123])
    for _ in range(3):
        failure(office.client(person=Person()))
    office.client(person=Person()).fetch(FIRST_PAGE)

    assert records(office) == []


@pytest.mark.fault("E3")
def test_a_login_that_not_all_files_take_is_not_sent_and_on_none_of_them(
    office: OfficeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.pbx.names["pbx.test"] = ["192.0.2.1"]
    replace = KeptFile.replace

    def full(file: KeptFile, content: bytes) -> None:
        if "pbx.test" in str(file._path):
            raise TryAgain("no space left on device", reason="state")
        replace(file, content)

    monkeypatch.setattr(KeptFile, "replace", full)
    reasons = {failure(office.client(host="pbx.test")).reason for _ in range(9)}

    assert (reasons, office.pbx.logins, records(office)) == ({"state"}, 0, [])


def test_a_host_too_long_for_the_name_of_a_file_is_kept_by_its_hash(office: OfficeOnDisk) -> None:
    failure(office.client(host=".".join(["a" * 60] * 4), secret=WRONG))

    assert [len(path.name) for path in records(office)] == [len(".logins--8088") + 32]


@pytest.mark.fault("A15")
@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"version": 2}', b"\0" * 512, b'{"a'])
def test_a_damaged_record_lets_nobody_log_in_until_a_person_says_so(
    office: OfficeOnDisk, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    office.client().fetch(FIRST_PAGE)
    office.pbx.issuer.expire(refresh_too=True)
    (office.directory / ".logins-192.0.2.1-8088").write_bytes(content)
    errors = [failure(office.client()), failure(office.client(person=Person()))]
    said = caplog.text.count("record of logins damaged")
    office.clock.now += 1
    office.client(person=Person(last_try_since=office.clock.now)).fetch(FIRST_PAGE)
    office.pbx.issuer.expire(refresh_too=True)
    office.client().fetch(FIRST_PAGE)

    assert [error.blocked for error in errors] == ["credentials"] * 2
    assert said == 1


@pytest.mark.fault("E14")
def test_a_clock_that_was_ahead_neither_lengthens_a_wait_nor_frees_anything(
    office: Office,
) -> None:
    office.clock.now += 10 * 365 * DAY
    for number in range(3):
        failure(office.client(secret=f"wrong-{number}"))
    office.clock.now -= 10 * 365 * DAY
    failure(office.client(secret="wrong-1"))
    office.clock.now += 15 * MINUTE
    failure(office.client(secret="wrong-1"))
    failure(office.client(secret="wrong-4"))

    assert office.pbx.most == 4


@pytest.mark.fault("E14")
def test_a_wait_that_a_clock_ahead_wrote_down_is_no_longer_than_from_now_on(
    office: Office,
) -> None:
    office.clock.now += DAY
    failure(office.client(secret=WRONG))
    office.clock.now -= DAY
    sent = []
    for _ in range(4):
        failure(office.client(secret=WRONG))
        sent.append(office.pbx.logins)
        office.clock.now += 5 * MINUTE

    assert sent == [1, 1, 1, 2]


def test_a_login_whose_answer_one_of_two_files_missed_counts_once(office: OfficeOnDisk) -> None:
    office.pbx.names["pbx.test"] = ["192.0.2.1"]
    failure(office.client(host="pbx.test", secret=WRONG))
    stale = json.loads(records(office)[0].read_text())
    stale["attempts"][0]["errcode"] = None
    records(office)[0].write_text(json.dumps(stale))
    said = str(failure(office.client(host="pbx.test", secret=WRONG)))
    for number in range(5):
        failure(office.client(host="pbx.test", secret=f"wrong-{number}"))

    assert "try 1 of 3" in said
    assert office.pbx.most == 4


# --- a person who asks


IMPOSED = (60002, 70123, 70656, 70087, 70004, 10005)


@pytest.mark.fault("A17")
@pytest.mark.parametrize("errcode", IMPOSED)
def test_a_person_gets_a_try_at_once_where_the_pbx_counts_none(
    office: Office, errcode: int
) -> None:
    office.pbx.fate.extend([errcode] * 3)
    failure(office.client())
    held_up = failure(office.client())
    asked = [failure(office.client(person=Person())).errcode for _ in range(2)]
    office.client(person=Person()).fetch(FIRST_PAGE)
    office.client().fetch(FIRST_PAGE)

    assert held_up.errcode is None
    assert "`cdr-exporter check --connect` tries at once" in str(held_up)
    assert asked == [errcode] * 2


@pytest.mark.fault("A17")
def test_a_person_who_asks_makes_the_wait_of_the_exporter_no_longer(office: Office) -> None:
    office.pbx.fate.extend([70123] * 9)
    failure(office.client())
    for _ in range(5):
        failure(office.client(person=Person()))
    office.clock.now += 15 * MINUTE
    office.pbx.fate.clear()

    office.client().fetch(FIRST_PAGE)


@pytest.mark.fault("A15")
def test_the_last_try_of_a_person_frees_all_if_it_works(office: Office) -> None:
    for number in range(5):
        failure(office.client("b", client_id="b", secret=f"wrong-{number}"))
    for _ in range(3):
        failure(office.client(person=Person()))
    office.clock.now += 1
    person = Person(last_try_since=office.clock.now)
    office.client(person=person).fetch(FIRST_PAGE)
    office.pbx.issuer.expire(refresh_too=True)
    office.client().fetch(FIRST_PAGE)

    assert office.pbx.most == 4


@pytest.mark.fault("A15")
def test_one_last_try_is_one_login_whatever_the_configuration_holds(office: Office) -> None:
    for number in range(5):
        failure(office.client(secret=f"wrong-{number}"))
    office.clock.now += DAY
    person = Person(last_try_since=office.clock.now)
    errors = [
        failure(office.client(f"pbx{n}", client_id=f"c{n}", secret=WRONG, person=person))
        for n in range(4)
    ]

    assert office.pbx.logins == 5
    assert errors[0].errcode == -1
    assert {error.errcode for error in errors[1:]} == {None}


def test_a_last_try_may_come_before_the_wait_of_a_secret_is_over(office: Office) -> None:
    failure(office.client(secret=WRONG))
    office.clock.now += 1
    failure(office.client(secret=WRONG, person=Person(last_try_since=office.clock.now)))

    assert office.pbx.logins == 2


# --- no sequence of events makes a fifth


@dataclass
class Figures:
    """What happened in the lives that were tried."""

    lives: int = 0
    logins: int = 0
    most: int = 0

    def note(self, life: Life) -> None:
        """Count one more life."""
        self.lives += 1
        self.logins += life.office.pbx.logins
        self.most = max(self.most, life.office.pbx.most)


def live(life: Life, events: list[Event]) -> None:
    """Let a life have its course, and see that no fifth login in a row is refused."""
    life.coming.extend(events)
    while life.coming:
        life.live(life.coming.popleft())

        assert life.office.pbx.most <= 4
        assert life.office.pbx.issuer.blocked == []
    FIGURES[type(life)].note(life)


FIGURES: dict[type[Life], Figures] = {}


# Not made smaller when it fails: that takes minutes, and 30 events can be read.
@settings(max_examples=120, phases=[Phase.explicit, Phase.generate])
@given(st.lists(EVENTS, min_size=15, max_size=45))
def no_fifth_login_in_a_row_is_refused(events: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        live(LifeOnOneMachine(Path(directory), patch), events)


@settings(max_examples=150, phases=[Phase.explicit, Phase.generate])
@given(st.lists(REPLICA_EVENTS, min_size=15, max_size=60))
def no_fifth_from_replicas(events: list[Event]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        live(LifeOfReplicas(patch), events)


@pytest.mark.slow
@pytest.mark.fault("A4", "A7", "A15")
@pytest.mark.parametrize(
    ("kind", "lives"),
    [
        pytest.param(LifeOnOneMachine, no_fifth_login_in_a_row_is_refused, id="one-machine"),
        pytest.param(LifeOfReplicas, no_fifth_from_replicas, id="replicas"),
    ],
)
def test_whatever_happens_no_fifth_login_in_a_row_is_refused(
    kind: type[Life], lives: Callable[[], None]
) -> None:
    figures = FIGURES[kind] = Figures()
    lives()

    # Else a client that never logs in would pass.
    assert figures.logins > figures.lives
    assert figures.most == 4


@pytest.mark.parametrize("gap", [0.0, 16 * MINUTE, 3 * HOUR, DAY])
def test_the_pbx_of_these_tests_blocks_at_the_fifth(office: Office, gap: float) -> None:
    """Else they could not fail."""
    blocked = []
    for _ in range(5):
        office.pbx.judge("b", WRONG)
        office.clock.now += gap
        blocked.append(office.pbx.issuer.blocked != [])

    assert blocked == [False] * 4 + [True]
    assert office.pbx.most == 5
