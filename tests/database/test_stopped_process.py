"""A real process that is stopped between writing a login down and sending it, and goes on later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cdr_exporter.database import Database, DatabaseDocuments, prepare_schema
from cdr_exporter.errors import PBXError
from cdr_exporter.pbx import Client
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, SecretSource
from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.serving import serve

from ..support.client_harness import FIRST_PAGE
from ..support.paths import ROOT
from ..support.postgres import TestDatabase
from ..support.processes import eventually

SHORT = 1.0
"""Seconds that a request may take; the lock on a token lasts four times that."""

STOPS = """
import os, signal, sys
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.database import Database, DatabaseDocuments
from cdr_exporter.errors import PBXError
from cdr_exporter.pbx import Client
from cdr_exporter.pbx.transport import Transport
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, TLS, SecretSource

class Stopping(Transport):
    def send(self, request, timeout_seconds, **others):
        os.kill(os.getpid(), signal.SIGSTOP)
        return super().send(request, timeout_seconds, **others)

url, base_url = sys.argv[1:]
source = SecretSource(value=Secret("wrong"))
pbx = PBX(name="hq", base_url=base_url, client_id="simulated", secret=source, request_timeout=1.0)
documents = DatabaseDocuments(Database(Secret(url), 30.0))
client = Client(pbx, documents, transport=Stopping(f"{base_url}/openapi/v1.0", TLS()))
try:
    client.fetch(CDRQuery())
except PBXError as error:
    print(type(error).__name__, flush=True)
"""


READS = """
import os, signal, sys, threading
from cdr_exporter.database import Database
from cdr_exporter.secret import Secret

with Database(Secret(sys.argv[1]), 4.0).transaction() as transaction:
    transaction.execute("SELECT 1 FROM document FOR SHARE")
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGSTOP]).start()
    # More than all buffers on the way hold.
    many = "SELECT %s FROM (SELECT pg_sleep(0.5)) AS later, generate_series(1, 3000)"
    transaction.execute(many, ["x" * 100_000])
"""


@pytest.fixture
def database(postgres: TestDatabase) -> Iterator[Database]:
    made = Database(postgres.url(), 30.0)
    prepare_schema(made)
    yield made
    made.close()


@pytest.mark.e2e
@pytest.mark.fault("A15", "E23")
def test_a_login_is_not_sent_after_another_process_has_taken_the_lock_and_logged_in(
    database: Database, postgres: TestDatabase
) -> None:
    simulated = SimulatedPBX(api=APISettings(client_secret="right"))
    with serve(simulated) as server:
        arguments = [sys.executable, "-c", STOPS, postgres.url().reveal(), server.base_url]
        other = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            _, status = os.waitpid(other.pid, os.WUNTRACED)
            client = client_of(server.base_url, database)
            eventually("a login", lambda: logs_in(client))
            other.send_signal(signal.SIGCONT)
            said, _ = other.communicate(timeout=30)
        finally:
            other.kill()

    assert os.WIFSTOPPED(status)
    assert said == "Cancelled\n"
    assert simulated.request_log.count("get_token") == 1


@pytest.mark.e2e
@pytest.mark.fault("E23")
def test_who_stands_still_while_he_reads_keeps_no_row_locked(
    database: Database, postgres: TestDatabase
) -> None:
    postgres.run("INSERT INTO cdr_exporter.document (name) VALUES ('a')")
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'ClientWrite'"
    free = "SELECT name FROM cdr_exporter.document FOR UPDATE SKIP LOCKED"
    reader = subprocess.Popen([sys.executable, "-c", READS, postgres.url().reveal()], cwd=ROOT)
    try:
        eventually("the server waits for who reads", lambda: postgres.run(waiting))
        assert postgres.run(free) == []
        eventually("the row is free", lambda: postgres.run(free), 30)
        assert "T" in Path(f"/proc/{reader.pid}/stat").read_text().split()
    finally:
        reader.kill()
        reader.wait()


def client_of(base_url: str, database: Database) -> Client:
    pbx = PBX(
        name="hq",
        base_url=base_url,
        client_id="simulated",
        secret=SecretSource(value=Secret("right")),
        request_timeout=SHORT,
    )
    return Client(pbx, DatabaseDocuments(database))


def logs_in(client: Client) -> bool:
    with suppress(PBXError):
        client.fetch(FIRST_PAGE)
        return True
    return False
