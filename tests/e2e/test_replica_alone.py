"""The real process as a replica whose database cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.exporter_and_simulator import write_config
from ..support.processes import Exporter, eventually, free_port

pytestmark = pytest.mark.e2e

ADVERTISED = "two.example:10088"


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    folder = tmp_path_factory.mktemp("replica")
    url = folder / "postgres"
    url.write_text(f"postgresql://canary:canary@127.0.0.1:{free_port()}/canary")
    url.chmod(0o600)
    config = write_config(
        folder, f"http://127.0.0.1:{free_port()}", extra="state_url_file: postgres\nlease: 2s\n"
    )
    arguments = ("--web.external-url", "http://mon.example", "--web.advertise-address", ADVERTISED)
    with Exporter(config, *arguments) as running:
        yield running


def test_a_replica_answers_to_the_address_at_which_it_is_scraped(replica: Exporter) -> None:
    def healthy(host: str) -> str:
        return replica.get("/-/healthy", Host=host)

    assert healthy(ADVERTISED) == "ok\n"
    assert healthy("mon.example") == "ok\n"
    assert healthy("evil.example").startswith("this is not the host of that name")


def test_a_replica_without_its_database_is_alive_and_says_what_is_missing(
    replica: Exporter,
) -> None:
    eventually(
        "the database was tried",
        lambda: any("the leases cannot be kept" in line for line in replica.output),
    )

    assert replica.get("/-/ready").startswith("the database does not tell which PBXs to poll")
    assert replica.get("/sd").startswith("the database cannot be asked")
    assert "The database does not tell which replica holds which PBX." in replica.get("/")
    assert replica.value("cdr_exporter_database_up") == 0
    assert "canary" not in "\n".join(replica.output)
