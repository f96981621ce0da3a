"""Many connections at once: clients that send half a request and then nothing, and scrapers."""

from __future__ import annotations

import resource
import socket
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

HALF = b"GET /metrics HTTP/1.1\r\nHost: exp"


@contextmanager
def half_open(port: int, sources: list[str], sent: bytes = HALF) -> Iterator[list[socket.socket]]:
    """Hold a connection from each address in *sources* that sends *sent* and nothing more."""
    with ExitStack() as stack:
        clients = []
        for source in sources:
            client = socket.create_connection(
                ("127.0.0.1", port), timeout=10, source_address=(source, 0)
            )
            clients.append(stack.enter_context(client))
            client.sendall(sent)
        yield clients


def many_addresses(count: int) -> list[str]:
    """Return that many addresses of this machine."""
    return [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(count)]


def scrape_seconds(port: int, scrapers: int) -> list[float]:
    """Return how long each of that many scrapes at once took, from connecting to its end."""

    def scrape(number: int) -> float:
        began = time.monotonic()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": "gzip"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.read()
        return time.monotonic() - began

    with ThreadPoolExecutor(scrapers) as pool:
        return sorted(pool.map(scrape, range(scrapers)))


@contextmanager
def file_numbers(wanted: int) -> Iterator[None]:
    """Let this process, which has the other ends, open that many files; skip where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (resource.RLIM_INFINITY,) and hard < wanted:
        pytest.skip(f"needs {wanted} file numbers, and {hard} are allowed")
    raised = soft if soft == resource.RLIM_INFINITY else max(soft, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def with_file_limit(soft: int, hard: int) -> tuple[str, ...]:
    """Return the arguments of Python that start the exporter with these limits."""
    return (
        "-c",
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from cdr_exporter.__main__ import main\n"
        "sys.exit(main())",
    )
