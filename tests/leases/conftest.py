"""The tables of leases in a real PostgreSQL, as several replicas see them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cdr_exporter.database import Database
from cdr_exporter.leases import LeaseTable

from ..support.lease_keepers import LEASE, QUICK, MakeTable
from ..support.postgres import TestDatabase


@pytest.fixture
def replica(postgres: TestDatabase) -> Iterator[MakeTable]:
    """Return what makes the table as a replica of some name sees it."""
    with ExitStack() as stack:

        def make(name: str) -> LeaseTable:
            database = Database(postgres.url(), QUICK, connections=1)
            stack.callback(database.close)
            table = LeaseTable(database, name, f"{name}:10088", LEASE)
            table.prepare()
            return table

        yield make
