"""`demo --prometheus` as a process: the past and the present of both PBXs, and nothing left."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from cdr_exporter.commands import demo_prometheus

from ..support.processes import Process, eventually, get, running
from ..support.programs import require
from ..support.prometheus_rules import RULES

pytestmark = pytest.mark.e2e

DAY = 86_400

_CODE = """
import sys
from cdr_exporter import cli
from cdr_exporter.commands import demo, demo_prometheus
demo.DAYS, demo_prometheus.STEP_SECONDS = {days}, {step}
demo_prometheus.BLOCK_SECONDS *= {blocks}
sys.exit(cli.main(["demo", "--prometheus", "--web.listen-address", "127.0.0.1:0"]))
"""

_PROMETHEUS = """#!{python}
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass
port = next(each for each in sys.argv if "listen-address" in each).rpartition(":")[2]
print("out of memory", flush=True)
http.server.HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""


class Demo(Process):
    """The demo of so many *days*, with a sample of the past every *step* seconds.

    *blocks* are made one, for fewer calls of promtool. Its temporary directory is in *tmp*; *path*
    is where it finds programs.
    """

    def __init__(
        self, tmp: Path, *, days: int, step: int, blocks: int = 9, path: str | None = None
    ) -> None:
        tmp.mkdir()
        self._tmp = tmp
        env = {**os.environ, "TMPDIR": str(tmp), "PATH": path or os.environ["PATH"]}
        code = _CODE.format(days=days, step=step, blocks=blocks)
        super().__init__(sys.executable, "-c", code, env=env)

    @property
    def children(self) -> Sequence[int]:
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(each) for each in text.split()]

    @property
    def left(self) -> Sequence[str]:
        return [each.name for each in self._tmp.iterdir()]

    def url(self, path: str, patience: float = 120.0) -> str:
        """Return what is printed and ends with *path*, once it is."""

        def printed() -> str | None:
            assert self.running, "\n".join(self.output)
            words = (word for line in self.output for word in line.split())
            return next((word for word in words if word.endswith(path)), None)

        return str(eventually(f"an address {path}", printed, patience))

    def prometheus(self, patience: float = 120.0) -> str:
        """Return the address of Prometheus, once it is printed."""
        base = self.url(f"g0.range_input={demo_prometheus.DAYS}d", patience)
        return base.partition("graph?")[0]


def ask(base: str, path: str, **parameters: Any) -> Any:
    return json.loads(get(f"{base}api/v1/{path}?{urlencode(parameters)}"))["data"]


def by_pbx(base: str, query: str, **when: float) -> dict[str, float]:
    result = ask(base, "query", query=f"sum by (pbx) ({query})", **when)["result"]
    return {each["metric"]["pbx"]: float(each["value"][1]) for each in result}


def value(base: str, query: str) -> float:
    [found] = ask(base, "query", query=query)["result"]
    return float(found["value"][1])


def assert_past_and_present(base: str) -> None:
    """Assert that both PBXs have calls on each of the last days, and of now, in one series each."""
    both, now = {"berlin", "boston"}, time.time()
    for days in range(demo_prometheus.DAYS):
        found = by_pbx(base, f"increase(cdr_calls_total[{DAY}s])", time=now - days * DAY)
        assert set(found) == both, days
        assert min(found.values()) > 10, days
    fresh = "cdr_calls_total and timestamp(cdr_calls_total) > time() - 15"
    eventually("it scrapes both", lambda: by_pbx(base, fresh).keys() == both)
    assert value(base, "count(group by (job, instance) (cdr_calls_total))") == 1
    assert value(base, "max(resets(cdr_calls_total[1d]))") == 0


def assert_rules(base: str) -> None:
    """Assert that all rules are there, that they are evaluated, and that none fails."""

    def healths() -> list[str]:
        return [each["health"] for group in ask(base, "rules")["groups"] for each in group["rules"]]

    eventually("rules are evaluated", lambda: "ok" in healths())
    assert len(healths()) == len(RULES)
    # Some are evaluated every two minutes only.
    assert set(healths()) <= {"ok", "unknown"}


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """Return a PATH with a Prometheus that answers and does no more, and a promtool."""
    path = tmp_path / "bin"
    path.mkdir()
    (path / "prometheus").write_text(_PROMETHEUS.format(python=sys.executable))
    (path / "promtool").write_text('#!/bin/sh\nfor last; do :; done\nexec /bin/mkdir "$last"\n')
    for each in path.iterdir():
        each.chmod(0o755)
    return str(path)


def test_it_shows_the_past_and_the_present_of_both_pbxs_and_leaves_nothing(tmp_path: Path) -> None:
    require("prometheus"), require("promtool")
    with Demo(tmp_path / "tmp", days=9, step=3_600) as demo:
        base = demo.prometheus()
        assert_past_and_present(base)
        assert_rules(base)
        [prometheus] = demo.children
        demo.signal(signal.SIGINT)
        code = demo.ended(30)

    assert (code, demo.left) == (0, [])
    assert not running(prometheus)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_as_it_is_started_by_a_user_it_does_the_same_within_minutes(tmp_path: Path) -> None:
    require("prometheus"), require("promtool")
    with Demo(tmp_path / "tmp", days=30, step=demo_prometheus.STEP_SECONDS, blocks=1) as demo:
        base = demo.prometheus(300)
        assert_past_and_present(base)
        assert_rules(base)
        # A sample every five minutes is enough for a query without a window.
        week_ago = by_pbx(base, "cdr_calls_total", time=time.time() - 7 * DAY)
        assert demo.stop() == 0

    assert set(week_ago) == {"berlin", "boston"}
    assert demo.left == []


def test_its_pages_are_open_while_the_past_is_written(tmp_path: Path, programs: str) -> None:
    (tmp_path / "bin" / "promtool").write_text("#!/bin/sh\nexec /bin/sleep 100\n")
    with Demo(tmp_path / "tmp", days=1, step=3_600, path=programs) as demo:
        page = get(demo.url("/pbx/berlin"))
        still_writing = not any("/graph" in line for line in demo.output)
        demo.signal(signal.SIGTERM)
        code = demo.ended()

    assert still_writing
    assert "berlin" in page
    assert (code, demo.left) == (0, [])
    assert not any("/graph" in line for line in demo.output)


def test_a_disk_on_which_promtool_finds_no_room_is_one_line(tmp_path: Path, programs: str) -> None:
    promtool = tmp_path / "bin" / "promtool"
    promtool.write_text("#!/bin/sh\necho 'preallocate: no space left' >&2\nexit 1\n")
    with Demo(tmp_path / "tmp", days=1, step=3_600, path=programs) as demo:
        code = demo.ended()

    assert (code, demo.left) == (1, [])
    assert demo.output[-1] == (
        f"cdr-exporter: the past for Prometheus cannot be written: {promtool}: preallocate: "
        "no space left; set TMPDIR to a directory that can be written, with some 700 MB free"
    )


def test_a_prometheus_that_ends_by_itself_is_one_line_and_the_end(
    tmp_path: Path, programs: str
) -> None:
    with Demo(tmp_path / "tmp", days=1, step=3_600, path=programs) as demo:
        demo.prometheus()
        demo.url("/metrics")
        [prometheus] = demo.children
        os.kill(prometheus, signal.SIGKILL)
        code = demo.ended(30)

    assert (code, demo.left) == (1, [])
    said = "cdr-exporter: prometheus has ended by itself (exit code -9): out of memory"
    assert demo.output[-1] == said


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_killed_it_leaves_no_prometheus_running(tmp_path: Path, programs: str) -> None:
    with Demo(tmp_path / "tmp", days=1, step=3_600, path=programs) as demo:
        demo.prometheus()
        [prometheus] = demo.children
        demo.kill()

    eventually("it has ended", lambda: not running(prometheus))
