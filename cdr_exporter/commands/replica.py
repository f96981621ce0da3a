"""This process as one of the replicas that share a database: its connections, and what it polls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import uuid4

from ..clock import SystemClock
from ..database import Database, DatabaseDocuments, read_url
from ..leases import LeaseTable
from ..metrics.totals import Bounds
from ..pbx import Client
from ..poller.supervisor import OpenStore
from ..settings import PBX, Settings
from ..store import DatabaseStore
from ..web import Replicas
from .leased_fleet import LeasedFleet


class Replica:
    """The replica that is scraped at *address*, over the database in the file *url_file*.

    It connects when something is first asked. Raises `ConfigError` where the URL is of no use, or
    the driver is not installed.
    """

    def __init__(self, settings: Settings, url_file: Path, address: str, bounds: Bounds) -> None:
        self._address = address
        self._now = SystemClock(threading.Event()).now
        url = read_url(url_file)
        self._database = Database(url, settings.lease)
        # Its own, so that leases are renewed however many states are being written.
        self._of_leases = Database(url, settings.lease, connections=1)
        replica = uuid4().hex
        self._table = LeaseTable(self._database, replica, address, settings.lease)
        table = LeaseTable(self._of_leases, replica, address, settings.lease)
        place = ClientsAndStoresInDatabase(self._database)
        self.fleet = LeasedFleet(settings, bounds, table, place, settings.lease)

    def all(self, settings: Settings) -> Replicas:
        """Return all replicas, for the pages that say who holds which PBX of *settings*."""
        names = [pbx.name for pbx in settings.pbxs]
        return Replicas(names, self._address, self._table.holders, settings.lease, self._now)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()
        self._of_leases.close()


class ClientsAndStoresInDatabase:
    """States, tokens and refused logins in *database*."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def client(self, pbx: PBX, may_send: Callable[[], bool]) -> Client:
        """Return a client of *pbx*, which sends something only while *may_send* says so."""
        return Client(pbx, DatabaseDocuments(self._database), may_send=may_send)

    def open_store(self, pbx: PBX, epoch: int) -> OpenStore:
        """Return what opens the state of *pbx*, for the holder of its lease with this *epoch*."""
        return partial(DatabaseStore, self._database, pbx.name, pbx.client_id, epoch=epoch)
