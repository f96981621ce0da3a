"""A real PostgreSQL for tests: a server of their own, and in it a database for each test.

The server refuses to run as root, so root starts it as another user. It listens on a free port of
127.0.0.1, and on a socket in its own directory. It keeps its port when it is stopped and started.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from cdr_exporter.secret import Secret

ADMIN = "postgres"
"""The superuser, who may connect without a password."""

_START_SECONDS = 60.0

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "dynamic_shared_memory_type": "mmap",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
    "autovacuum": "off",
    "logging_collector": "off",
    "log_min_messages": "fatal",
    "timezone": "UTC",
}

_TLS = {"ssl": "on", "ssl_cert_file": "server.pem", "ssl_key_file": "server.pem"}

_DURABLE = {"fsync": "on", "full_page_writes": "on"}
_QUICK = {"fsync": "off", "full_page_writes": "off"}


def programs() -> Path:
    """Return the folder of the server's programs; without it skip, or fail where it must run."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1].parent
    path = shutil.which("postgres")
    if path is not None:
        return Path(path).parent
    reason = "PostgreSQL is not installed"
    if os.environ.get("CDR_EXPORTER_REQUIRE_E2E") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class PostgresServer:
    """A server with its data in a temporary directory; `with` starts it, stops and removes it.

    *durable* lets it write to the disk as in operation; without it tests are quicker, and a server
    that is killed still loses nothing, as long as the machine runs. *settings* are further ones.
    With *passwords*, everybody but the administrator at the socket has to give one. *certificate*
    is a file with one and its key: then it speaks TLS with who asks for it.
    """

    def __init__(
        self,
        *,
        durable: bool = False,
        passwords: bool = False,
        settings: Mapping[str, str] | None = None,
        certificate: Path | None = None,
    ) -> None:
        self._programs = programs()
        self._user = _other_user() if os.geteuid() == 0 else None
        # Not the directory of a test: the path of a socket may have 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="pg-"))
        self.port = _free_port()
        self._passwords, self._certificate = passwords, certificate
        self._settings = {
            **_SETTINGS,
            **(_DURABLE if durable else _QUICK),
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            **(_TLS if certificate else {}),
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def __enter__(self) -> PostgresServer:
        try:
            self._make()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    @property
    def pid(self) -> int:
        """The process id of the server; its sessions are children of it."""
        assert self._process is not None, "the server is stopped"
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._process is None, "the server runs already"
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.directory,
                user=self._user,
                group=self._user,
            )
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Stop it in order: sessions are ended, what runs in them is undone."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a failing machine would; `start` recovers what was committed."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop and start it; it keeps its port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let the whole server stand still, sessions too, until `go_on`."""
        for each in (self.pid, *self._sessions()):
            os.kill(each, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a paused server go on."""
        for each in (*self._sessions(), self.pid):
            os.kill(each, signal.SIGCONT)

    def make_database(self) -> TestDatabase:
        """Return a new, empty database, which belongs to a new user that is no superuser."""
        self._databases += 1
        name = f"test_{os.getpid()}_{self._databases}"
        password = f"sw0rdfish-{name}"
        self.run(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        self.run(f"CREATE DATABASE {name} OWNER {name} STRATEGY file_copy")
        return TestDatabase(self, name, password)

    def run(self, sql: str, database: str = ADMIN, parameters: Any = None) -> list[Any]:
        """Run one statement as the administrator; return its rows."""
        with self.connect(database) as connection:
            cursor = connection.execute(sql, parameters)
            return list(cursor) if cursor.description else []

    def connect(self, database: str = ADMIN) -> psycopg.Connection[Any]:
        """Return a connection of the administrator, in autocommit; `with` closes it."""
        return psycopg.connect(
            host=str(self.directory),
            port=self.port,
            user=ADMIN,
            dbname=database,
            autocommit=True,
            connect_timeout=10,
        )

    def log(self) -> str:
        """Return what the server has logged, for messages of tests that fail."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _make(self) -> None:
        if self._user:
            shutil.chown(self.directory, self._user, self._user)
        self.directory.chmod(0o755)  # for the socket
        made = subprocess.run(
            [
                *(self._programs / "initdb", "--pgdata", self._data, "--username", ADMIN),
                *("--auth", "trust", "--encoding", "UTF8", "--no-locale"),
                *("--no-sync", "--no-instructions"),
            ],
            capture_output=True,
            cwd=self.directory,
            user=self._user,
            group=self._user,
        )
        assert made.returncode == 0, made.stderr.decode(errors="replace")
        method = "scram-sha-256" if self._passwords else "trust"
        (self._data / "pg_hba.conf").write_text(
            f"local all {ADMIN} trust\nlocal all all {method}\nhost all all 127.0.0.1/32 {method}\n"
        )

        if self._certificate:
            self.give(self._certificate.read_bytes(), self._data / "server.pem")

    def give(self, content: bytes, path: Path) -> None:
        """Write a file that belongs to the server."""
        path.write_bytes(content)
        path.chmod(0o600)
        if self._user:
            shutil.chown(path, self._user, self._user)

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                assert self._process is not None
                assert self._process.poll() is None, self.log()
                assert time.monotonic() < end, self.log()
                time.sleep(0.02)
            else:
                return

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None, "the server is stopped"
        process.send_signal(number)
        process.wait(_START_SECONDS)

    def _sessions(self) -> list[int]:
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(each) for each in listed.split()]

    def _remove(self) -> None:
        if self._process is not None:
            self.go_on()
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)


class TestDatabase:
    """A database of one test; *user* owns it, and has its name."""

    __test__ = False

    def __init__(self, server: PostgresServer, name: str, password: str) -> None:
        self.server, self.name, self.user, self.password = server, name, name, password

    def url(self, **others: Any) -> Secret:
        """Return its URL with the password; *others* replace user, password, host, port, name."""
        parts: dict[str, Any] = {
            "user": self.user,
            "password": self.password,
            "host": "127.0.0.1",
            "port": self.server.port,
            "name": self.name,
        } | others
        login = f"{quote(parts['user'])}:{quote(parts['password'])}"
        return Secret(f"postgresql://{login}@{parts['host']}:{parts['port']}/{parts['name']}")

    def run(self, sql: str, parameters: Any = None) -> list[Any]:
        """Run one statement in it as the administrator; return its rows."""
        return self.server.run(sql, self.name, parameters)

    def drop(self) -> None:
        """Remove it, whoever is connected."""
        self.server.run(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        self.server.run(f"DROP ROLE IF EXISTS {self.user}")


def _other_user() -> str:
    """Return the user as whom root starts the server; his group has the same name."""
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            pwd.getpwnam(name), grp.getgrnam(name)
            return name
    pytest.skip("root may not run PostgreSQL, and there is no user postgres")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
