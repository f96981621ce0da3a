"""What a replica says of PBXs that it does not hold: on its pages, to Prometheus, and by /sd."""

from __future__ import annotations

import json
import select
from contextlib import ExitStack
from typing import Any

import pytest

from cdr_exporter.leases import Holder
from cdr_exporter.web import App

from ..support.html_reader import PageReader
from ..support.replicas import (
    HERE,
    OWN_ADDRESS,
    THREE,
    TWO,
    FakeHolders,
    elsewhere,
    no_longer,
    replicas,
)
from ..support.web import app, ask, snapshot
from ..support.web_server import connect, exchange, serving, status, wait_until

LAST_HERE = Holder(OWN_ADDRESS, here=False, held=False)
HOSTILE = '<b>"'


def database() -> FakeHolders:
    """Return one that knows a PBX of each kind; the replica asked has hq."""
    return FakeHolders(
        hq=HERE, branch=elsewhere(), left=no_longer(THREE), new=None, loading=HERE, last=LAST_HERE
    )


def one_of(there: FakeHolders | None = None, *, has_tls: bool = False, **options: Any) -> App:
    """Return the replica that has hq."""
    return app(snapshot("hq"), has_tls=has_tls, replicas=replicas(there or database()), **options)


def targets(application: App, **headers: str) -> list[tuple[str, str]]:
    groups = json.loads(ask(application, "/sd", **headers).body)
    return [(group["labels"]["instance"], *group["targets"]) for group in groups]


def test_service_discovery_names_the_holder_of_each_pbx_or_the_last_or_itself() -> None:
    assert targets(one_of()) == [
        ("hq", OWN_ADDRESS),
        ("branch", TWO),
        ("left", THREE),
        ("new", OWN_ADDRESS),
        ("loading", OWN_ADDRESS),
        ("last", OWN_ADDRESS),
    ]


def test_a_target_is_the_page_of_one_pbx_and_keeps_its_name_wherever_it_is() -> None:
    before, after = FakeHolders(hq=HERE), FakeHolders(hq=elsewhere())
    labels = [json.loads(ask(one_of(each), "/sd").body)[0]["labels"] for each in (before, after)]

    assert labels == [{"__param_pbx": "hq", "instance": "hq"}] * 2


def test_targets_come_neither_from_the_host_header_nor_from_the_external_url() -> None:
    behind_a_proxy = one_of(FakeHolders(hq=elsewhere()), external_url="https://mon.example/cdr")

    assert targets(behind_a_proxy, host="evil.example") == [("hq", TWO)]
    assert targets(one_of(FakeHolders(hq=elsewhere())), host="") == [("hq", TWO)]
    (group,) = json.loads(ask(behind_a_proxy, "/sd").body)
    assert group["labels"].keys() == {"__param_pbx", "instance"}


def test_all_targets_speak_tls_where_this_replica_does() -> None:
    groups = json.loads(ask(one_of(has_tls=True), "/sd").body)

    assert {group["labels"]["__scheme__"] for group in groups} == {"https"}


@pytest.mark.fault("F15")
def test_without_the_database_service_discovery_names_nobody_rather_than_some() -> None:
    there = database()
    there.away = True
    response = ask(one_of(there), "/sd")

    assert (response.status, response.text) == (
        503,
        "the database cannot be asked which replica holds which PBX, see the log\n",
    )


@pytest.mark.fault("F15")
def test_a_scrape_never_asks_the_database() -> None:
    there = database()
    application = one_of(there)

    for target in ("/metrics", "/metrics?pbx=hq", "/metrics?pbx=branch", "/-/ready", "/pbx/hq"):
        ask(application, target)
    assert there.asked == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(
            "branch",
            "this replica does not show that pbx now; /sd says which one to ask\n",
            id="of another replica",
        ),
        pytest.param("nobody", "no such pbx\n", id="unknown"),
        pytest.param("%3Cscript%3E", "no such pbx\n", id="hostile"),
    ],
)
def test_the_metrics_of_a_pbx_that_is_not_here_are_not_found(name: str, text: str) -> None:
    response = ask(one_of(), f"/metrics?pbx={name}")

    assert (response.status, response.text) == (404, text)


def landing(application: App) -> PageReader:
    return PageReader(ask(application, "/").text)


@pytest.mark.fault("F15")
def test_a_database_that_stands_still_holds_up_no_scrape() -> None:
    there = database()
    sd = b"GET /sd HTTP/1.1\r\nHost: localhost\r\n\r\n"
    scrape = b"GET /metrics?pbx=hq HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with serving(one_of(there)) as server, there.standing_still(), ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(8)]
        for client in clients:
            client.sendall(sd)

        def answered() -> int:
            return len(select.select(clients, (), (), 0)[0])

        wait_until(lambda: answered() == 6, "six of eight are refused soon")
        assert status(exchange(server, scrape)) == 200
        assert answered() == 6


def said_of_each(page: PageReader) -> list[list[str]]:
    """Return name and state of each PBX, as they are read."""
    return [
        [cell.replace(" ;", ";").replace(" ,", ",") for cell in cells[:2]]
        for cells in page.texts[1:]
    ]


def test_the_landing_page_shows_all_pbxs_and_who_holds_them() -> None:
    page = landing(one_of())

    assert said_of_each(page) == [
        ["left", f"✕ Nobody holds it; last {THREE}"],
        ["new", "✕ Nobody has held it yet"],
        ["last", f"✕ Nobody holds it; last {OWN_ADDRESS}"],
        ["hq", "✓ Up"],
        ["loading", "… Held by this replica, which does not show it yet"],
        ["branch", f"→ Held by {TWO}"],
    ]
    assert page.open == []


def test_the_landing_page_counts_them() -> None:
    text = ask(one_of(), "/").text

    assert (
        "<p>6 PBXs: 3 held by nobody, 1 up, 1 not shown yet, 1 held elsewhere.</p>"
        f"<p>This is the replica {OWN_ADDRESS}, which shows 1 of them.</p>"
    ) in text


@pytest.mark.parametrize(
    ("has_tls", "scheme"),
    [pytest.param(False, "http", id="plain"), pytest.param(True, "https", id="TLS")],
)
def test_a_pbx_elsewhere_is_a_link_to_its_page_there(has_tls: bool, scheme: str) -> None:
    hrefs = landing(one_of(FakeHolders(hq=HERE, branch=elsewhere()), has_tls=has_tls)).hrefs

    assert hrefs[:3] == ["pbx/hq", f"{scheme}://{TWO}/pbx/branch", f"{scheme}://{TWO}/"]


@pytest.mark.fault("F15")
def test_the_landing_page_works_without_the_database_and_says_so() -> None:
    there = database()
    there.away = True
    page, text = landing(one_of(there)), ask(one_of(there), "/").text

    assert said_of_each(page)[:2] == [
        ["hq", "✓ Up"],
        ["branch", "? Not held here; by which replica is not known"],
    ]
    assert len(page.rows) == 1 + len(there.holders)
    assert "6 PBXs: 1 up, 5 not held here." in text
    assert "The database does not tell which replica holds which PBX." in text
    assert "runbook#cdrdatabasedown" in page.hrefs


def test_what_to_do_about_pbxs_that_nobody_holds_is_said_once() -> None:
    said = "A PBX that no replica holds is not polled."

    assert ask(one_of(), "/").text.count(said) == 1
    assert said not in ask(one_of(FakeHolders(hq=HERE, branch=elsewhere())), "/").text


def test_a_pbx_that_is_shown_here_is_shown_whoever_holds_it_by_the_database() -> None:
    taken_away = landing(one_of(FakeHolders(hq=elsewhere())))

    assert said_of_each(taken_away) == [["hq", "✓ Up"]]


@pytest.mark.parametrize(
    ("name", "said", "link"),
    [
        pytest.param("branch", f"→ Held by {TWO}", f"http://{TWO}/pbx/branch", id="elsewhere"),
        pytest.param(
            "left", f"Nobody holds it; last {THREE}", "../runbook#cdrpbxnotheld", id="nobody"
        ),
        pytest.param("new", "Nobody has held it yet", "../runbook#cdrpbxnotheld", id="never"),
        pytest.param("loading", "Held by this replica, which does not", "../", id="here soon"),
    ],
)
def test_the_page_of_a_pbx_that_is_not_here_says_who_holds_it(
    name: str, said: str, link: str
) -> None:
    response = ask(one_of(), f"/pbx/{name}")
    page = PageReader(response.text)

    assert response.status == 200
    assert said in page.text
    assert link in page.hrefs
    assert (page.open, page.outline) == ([], [1])


def test_the_page_of_a_pbx_that_is_not_here_works_without_the_database() -> None:
    there = database()
    there.away = True
    page = PageReader(ask(one_of(there), "/pbx/branch").text)

    assert "? Not held here; by which replica is not known" in page.text
    assert "../runbook#cdrdatabasedown" in page.hrefs


def test_a_page_of_no_pbx_is_not_found() -> None:
    assert ask(one_of(), "/pbx/nobody").status == 404
    assert ask(one_of(), "/pbx/Branch").status == 404


def test_every_name_is_escaped() -> None:
    there = FakeHolders(**{HOSTILE: elsewhere()})
    application = app(replicas=replicas(there))

    for path in ("/", f"/pbx/{HOSTILE}"):
        text = ask(application, path).text
        assert "<b>" not in text
        assert f'href="http://{TWO}/pbx/%3Cb%3E%22"' in text


def test_a_thousand_pbxs_elsewhere_are_a_small_page() -> None:
    many = FakeHolders(hq=HERE, **{f"pbx{number}": elsewhere() for number in range(1000)})
    text = ask(one_of(many), "/").text

    assert len(text) < 500_000
    assert len(PageReader(text).rows) == 1002


def test_with_files_nothing_speaks_of_replicas() -> None:
    alone = ask(app(snapshot("hq")), "/").text

    assert "replica" not in alone
