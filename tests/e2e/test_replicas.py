"""What two and three replicas over a real PostgreSQL tell of themselves and of one another."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ..support.postgres import TestDatabase
from ..support.processes import eventually
from ..support.replica_processes import LEASE, Replica, replicas


@pytest.mark.e2e
@pytest.mark.slow
def test_any_replica_leads_to_the_holder_of_each_pbx_and_lives_without_the_database(
    tmp_path: Path, postgres: TestDatabase
) -> None:
    with replicas(tmp_path, postgres, pbxs=2) as it:
        one, two = it.start(), it.start()
        it.wait_until_they_share()
        holders = {name: each for each in (one, two) for name in each.held()}

        def leads_to_the_holders(replica: Replica) -> bool:
            found = json.loads(replica.get("/sd"))
            return {each["labels"]["instance"]: each["targets"] for each in found} == {
                name: [holder.address] for name, holder in holders.items()
            }

        eventually("both name the holders", lambda: all(map(leads_to_the_holders, (one, two))))
        for name, holder in holders.items():
            other = one if holder is two else two
            assert f'pbx="{name}"' in holder.get(f"/metrics?pbx={name}")
            assert "/sd says which one to ask" in other.get(f"/metrics?pbx={name}")
        eventually("both are ready", lambda: one.is_ready and two.is_ready)
        postgres.server.stop()
        try:
            eventually("it hides all", lambda: one.held() == [], LEASE * 3)
            assert one.value("cdr_exporter_database_up") == 0
            assert one.get("/-/healthy") == "ok\n"
            assert "cannot be asked" in one.get("/sd")
            three = it.start()
            for each in (one, three):
                assert each.get("/-/ready").startswith("the database does not tell")
            assert three.value("cdr_exporter_database_up") == 0
        finally:
            postgres.server.start()
        it.end(two)
        it.wait_until_they_share()
        eventually("it is ready", lambda: three.is_ready)
        assert len([line for line in three.output if "leases cannot be kept" in line]) == 1
        with it.telephoning():
            postgres.server.pause()
            try:
                time.sleep(0.5)
                began = time.monotonic()
                it.end(three)
                assert time.monotonic() - began < 5
            finally:
                postgres.server.go_on()
