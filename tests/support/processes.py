"""Real processes on loopback: the exporter, Prometheus. Each is ended by its own process id."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from .programs import require

PATIENCE = 60.0
"""Seconds until something that must come is given up; no test waits so long when all is well."""


def eventually(what: str, holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Return the first true value of *holds*; fails the test when there is none in time."""
    end = time.monotonic() + patience
    seen: Any = None
    while time.monotonic() < end:
        try:
            seen = holds()
        except OSError as error:
            seen = error
        else:
            if seen:
                return seen
        time.sleep(0.05)
    raise AssertionError(f"not in {patience:g} s: {what} (last: {seen!r})")


def get(url: str, **headers: str) -> str:
    """Return the body at *url*, whatever the status."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def free_port() -> int:
    """Return a port for a program that cannot be told to take any.

    It is none of those that the system gives to whoever asks for any port, and to connections:
    tests that run at the same time would have taken it before the program starts.
    """
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(given.read_text().split()[0]) if given.exists() else 32768
    while True:
        port = random.SystemRandom().randrange(first // 2, first)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def running(pid: int) -> bool:
    """Say whether the process runs; where nobody waits for the dead, they are still listed."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


class Process:
    """One program; what it writes is kept."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        self.output: list[str] = []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def ended(self, patience: float = PATIENCE) -> int:
        """Wait for its end and return the exit code."""
        code = self._process.wait(patience)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        """`kill -9`."""
        if self.running:
            self._process.kill()
        self.ended()

    def stop(self) -> int:
        if self.running:
            self.signal(signal.SIGTERM)
        try:
            return self.ended(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Exporter(Process):
    """The exporter as a user starts it, on a free port; or *program*, arguments of Python."""

    def __init__(
        self, config: Path, *arguments: str, program: tuple[str, ...] = ("-m", "cdr_exporter")
    ) -> None:
        super().__init__(
            *(sys.executable, *program, "--config.file", str(config)),
            *("--web.listen-address", "127.0.0.1:0", *arguments),
        )
        self.port = int(eventually("the exporter listens", self._listening)[1])

    def _listening(self) -> re.Match[str] | None:
        assert self.running, "\n".join(self.output)
        return re.search(r"addresses=127\.0\.0\.1:(\d+)", "\n".join(self.output))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> str:
        return get(f"http://{self.address}{path}", **headers)

    def samples(self, family: str) -> dict[tuple[str, ...], float]:
        """Return a family's samples by their label values, in the order of the labels' names."""
        # Whoever waits asks many times a second, and the parser takes its time for a whole page.
        lines = [f"{line}\n" for line in self.get("/metrics").splitlines() if family in line]
        return {
            tuple(sample.labels[name] for name in sorted(sample.labels)): sample.value
            for each in text_string_to_metric_families("".join(lines))
            for sample in each.samples
            if sample.name == family
        }

    def value(self, family: str, *labels: str) -> float | None:
        return self.samples(family).get(labels)


class Prometheus(Process):
    """A real Prometheus that scrapes *target* every second.

    Without a target it has what lies in `data` of its directory, however old. *text* is a
    configuration of another kind, that scrapes *target*; *program* the path of another version.
    """

    def __init__(
        self,
        directory: Path,
        target: str = "",
        *flags: str,
        text: str = "",
        program: str | None = None,
    ) -> None:
        config = directory / "prometheus.yml"
        config.write_text(
            text
            or "global: {scrape_interval: 1s}\n"
            "scrape_configs:\n"
            f"  - {{job_name: cdr, static_configs: [{{targets: ['{target}']}}]}}\n"
            if target
            else "{}"
        )
        self.url = f"http://127.0.0.1:{free_port()}"
        super().__init__(
            program or require("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            # By itself it takes up to 5 seconds to notice what it is to scrape.
            "--scrape.discovery-reload-interval=100ms",
            *flags,
        )
        eventually("Prometheus is ready", self._is_ready)
        if target:
            eventually("Prometheus has scraped", lambda: self.query("up == 1"))

    def _is_ready(self) -> bool:
        assert self.running, "\n".join(self.output)
        return "Ready" in get(f"{self.url}/-/ready")

    def query(self, expression: str, **when: float) -> list[dict[str, Any]]:
        """Return the result of an instant query, at `time` or now."""
        result: list[dict[str, Any]] = self.ask("query", query=expression, **when)["result"]
        return result

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> list[dict[str, Any]]:
        """Return the result of a range query."""
        asked = {"query": expression, "start": start, "end": end, "step": step}
        result: list[dict[str, Any]] = self.ask("query_range", **asked)["result"]
        return result

    def ask(self, path: str, **parameters: Any) -> Any:
        """Return the data that the API has at *path*."""
        answer = json.loads(get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]


class Alertmanager(Process):
    """A real Alertmanager of its own, that no other one talks to."""

    def __init__(self, directory: Path, text: str) -> None:
        config = directory / "alertmanager.yml"
        config.write_text(text)
        self.address = f"127.0.0.1:{free_port()}"
        super().__init__(
            require("prometheus-alertmanager"),
            f"--config.file={config}",
            f"--storage.path={directory / 'alertmanager'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        )
        eventually("Alertmanager is ready", lambda: "OK" in get(f"http://{self.address}/-/ready"))

    def alerts(self) -> list[dict[str, Any]]:
        """Return what it holds, inhibited or not."""
        found: list[dict[str, Any]] = json.loads(get(f"http://{self.address}/api/v2/alerts"))
        return found

    def post(self, *labels: dict[str, str]) -> None:
        """Tell it of alerts, as Prometheus does."""
        request = urllib.request.Request(
            f"http://{self.address}/api/v2/alerts",
            data=json.dumps([{"labels": each} for each in labels]).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass


class Webhook:
    """A receiver of Alertmanager's messages: what was sent about each alert, in order."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                received.extend(json.loads(self.rfile.read(length))["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def first(self, status: str, alertname: str, pbx: str) -> dict[str, Any] | None:
        """Return the first message about an alert that is `firing` or `resolved`."""
        for each in self.received:
            labels = each["labels"]
            if (each["status"], labels["alertname"], labels["pbx"]) == (status, alertname, pbx):
                return each
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
