"""The services of `deploy/compose.yml` as processes of this machine, without a container engine.

What is taken over: commands and entrypoints, the order (`depends_on` with its conditions), mounts
as folders below one directory, names and ports of services as free ports of the loopback interface.
Left out: images, users and permissions, networks, and what an engine does with health checks and
restarts. A service is healthy here once the address that its health check asks answers well.
PostgreSQL is a server of the tests, with the user, password and database that its service has.
"""

from __future__ import annotations

import re
import shutil
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import yaml

from .paths import ROOT
from .postgres import PostgresServer
from .processes import Process, eventually, free_port
from .programs import require

FOLDER = ROOT / "deploy"
_COMPOSE = yaml.safe_load((FOLDER / "compose.yml").read_text())
SERVICES: Mapping[str, Any] = _COMPOSE["services"]

POSTGRES = "postgres"
REPLICAS = "replicas"
"""The profile of replicas, and the name that all of them have."""

_IMAGES = {
    "cdr-exporter": [sys.executable, "-m", "cdr_exporter"],
    "prom/prometheus": ["prometheus"],
    "prom/alertmanager": ["prometheus-alertmanager"],
}
"""The entrypoint of each image; a service of any other image is left out."""

_LISTENS = {
    **dict.fromkeys(("exporter", "replica-1", "replica-2"), 10_088),
    **dict.fromkeys(("prometheus", "prometheus-of-replicas"), 9_090),
    "alertmanager": 9_093,
}
"""Where a service listens without being told."""

_STARTED, _HEALTHY, _COMPLETED = (
    "service_started",
    "service_healthy",
    "service_completed_successfully",
)


def of_profile(profile: str) -> list[str]:
    """Return the names of the services of a profile; of those that are in none for ""."""
    wanted = [profile] if profile else []
    return [name for name, each in SERVICES.items() if each.get("profiles", []) == wanted]


class Stack:
    """The services that run, below *directory*; those that have ended well are in `completed`.

    Those of *profile* are started, and what they depend on. *replica* is the one that is asked for
    by the name of all replicas.
    """

    def __init__(self, directory: Path, profile: str = "", replica: str = "replica-2") -> None:
        self.running: dict[str, Process] = {}
        self.completed: list[str] = []
        self._directory = directory
        self._profile = profile
        self._names = {REPLICAS: replica}
        self._ports: dict[tuple[str, str], int] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        try:
            for name in of_profile(self._profile):
                self._start(name)
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def url(self, service: str, port: int) -> str:
        """Return where a port of a service is here."""
        return f"http://127.0.0.1:{self._port(service, str(port))}"

    def volume(self, name: str) -> Path:
        """Return the folder that is a volume here."""
        return self._directory / "volumes" / name

    def _port(self, service: str, port: str) -> int:
        there = self._names.get(service, service)
        return self._ports.setdefault((there, port), free_port())

    def _start(self, name: str) -> None:
        """Start a service once what it depends on is there."""
        if name == POSTGRES and (name, "5432") not in self._ports:
            self._start_postgres()
        if name in self.running or image_of(name) not in _IMAGES:
            return
        for other, condition in needs(name).items():
            self._start(other)
            self._wait(other, condition)
        self.running[name] = self._open.enter_context(self._process(name))

    def _start_postgres(self) -> None:
        server = self._open.enter_context(PostgresServer(passwords=True))
        settings = SERVICES[POSTGRES]["environment"]
        password = secrets(POSTGRES)[settings["POSTGRES_PASSWORD_FILE"]].read_text().strip()
        user, database = settings["POSTGRES_USER"], settings["POSTGRES_DB"]
        server.run(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        server.run(f"CREATE DATABASE {database} OWNER {user}")
        self._ports[POSTGRES, "5432"] = server.port

    def again(self, name: str) -> int:
        """Run a service that ends once more, as the next start of all does; return its code."""
        with self._process(name) as process:
            return process.ended()

    def _process(self, name: str) -> Process:
        return Process(*self._command(name), env=self._env())

    def _wait(self, name: str, condition: str) -> None:
        if name == POSTGRES:
            return
        it = self.running[name]
        if condition == _HEALTHY:
            url = self._here(name, health_url(name))
            eventually(f"{name} is healthy", lambda: answers(it, url))
        elif condition == _COMPLETED and name not in self.completed:
            assert it.ended(300) == 0, it.output
            self.completed.append(name)

    def _command(self, name: str) -> Sequence[str]:
        service = SERVICES[name]
        mounts = dict(self._mounts(name))
        entrypoint = service.get("entrypoint", _IMAGES[image_of(name)])
        words = [*entrypoint, *service["command"]]
        if (port := _LISTENS.get(name)) is not None:
            words.append(f"--web.listen-address=0.0.0.0:{port}")
        here = [self._here(name, in_folders(word, mounts)).replace("$$", "$") for word in words]
        program = {"python": sys.executable}.get(here[0], here[0])
        return [require(program), *here[1:]]

    def _mounts(self, name: str) -> Mapping[str, Path]:
        """Lay out what the service has mounted; return where each path of it is here."""
        root = self._directory / name
        sources = {f"./{path.name}": inside for inside, path in secrets(name).items()}
        for each in SERVICES[name].get("volumes", ()):
            source, target = each.split(":")[:2]
            sources[source] = target
        found = {target: root / target.lstrip("/") for target in sources.values()}
        for source, target in sources.items():
            self._lay(name, source, found[target], found)
        return found

    def _lay(self, name: str, source: str, at: Path, mounts: Mapping[str, Path]) -> None:
        at.parent.mkdir(parents=True, exist_ok=True)
        path = FOLDER / source
        if source.startswith(".") and path.is_file():
            at.write_text(self._here(name, in_folders(path.read_text(), mounts)))
        elif not at.is_symlink():
            folder = path.resolve() if source.startswith(".") else self.volume(source)
            folder.mkdir(parents=True, exist_ok=True)
            at.symlink_to(folder)

    def _here(self, name: str, text: str) -> str:
        """Return *text* of a service with the ports of this machine."""

        def own(found: re.Match[str]) -> str:
            return f"127.0.0.1:{self._port(name, found[1])}"

        def of_service(found: re.Match[str]) -> str:
            return f"127.0.0.1:{self._port(found[1], found[2])}"

        text = re.sub(r"\b(?:0\.0\.0\.0|127\.0\.0\.1):(\d+)\b", own, text)
        names = "|".join([*SERVICES, *self._names])
        return re.sub(rf"(?<![\w-])({names}):(\d+)\b", of_service, text)

    def _env(self) -> dict[str, str]:
        """Return an environment in which the programs of the images are found."""
        programs = self._directory / "bin"
        if not programs.exists():
            programs.mkdir(parents=True)
            ours = programs / "cdr-exporter"
            ours.write_text(f'#!/bin/sh\nexec {sys.executable} -m cdr_exporter "$@"\n')
            ours.chmod(0o755)
        return {"PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}


def image_of(name: str) -> str:
    """Return the image of a service without its version."""
    return str(SERVICES[name]["image"].partition(":")[0])


def health_url(name: str) -> str:
    """Return the address that the health check of a service asks."""
    [found] = re.findall(r"http://[^'\"\s]+", SERVICES[name]["healthcheck"]["test"][-1])
    return str(found)


def secrets(name: str) -> Mapping[str, Path]:
    """Return the files of the secrets of a service, by their paths inside."""
    files = {each: _COMPOSE["secrets"][each]["file"] for each in SERVICES[name].get("secrets", ())}
    return {f"/run/secrets/{each}": FOLDER / file for each, file in files.items()}


def needs(name: str) -> Mapping[str, str]:
    """Return what a service depends on, and under which condition."""
    found = SERVICES[name].get("depends_on", {})
    if isinstance(found, list):
        return dict.fromkeys(found, _STARTED)
    return {other: each["condition"] for other, each in found.items()}


def in_folders(text: str, mounts: Mapping[str, Path]) -> str:
    """Return *text* with each path of *mounts* as it is here; the longest path first."""
    paths = "|".join(map(re.escape, sorted(mounts, key=len, reverse=True)))
    if paths:
        text = re.sub(rf"(?<![\w./-])({paths})(?![\w-])", lambda found: str(mounts[found[1]]), text)
    return text.replace("/bin/promtool", str(shutil.which("promtool")))


def answers(process: Process, url: str) -> bool:
    """Say whether a service answers; raises `AssertionError` if it has ended."""
    assert process.running, process.output
    try:
        with urllib.request.urlopen(url, timeout=4):
            return True
    except OSError:
        return False
