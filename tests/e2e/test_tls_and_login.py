"""The real process with TLS and logins, scraped by a real Prometheus."""

from __future__ import annotations

import base64
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET, write_config
from ..support.processes import Exporter, Prometheus, eventually, free_port
from ..support.web_certificates import client_context, issued

pytestmark = pytest.mark.e2e

PASSWORD = "made up for the tests"
PROMETHEUS_YML = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: cdr
    basic_auth: {username: prometheus, password: %s}
    tls_config: {ca_file: ca.crt}
    http_sd_configs:
      - url: https://localhost:%d/sd
        refresh_interval: 1s
        basic_auth: {username: prometheus, password: %s}
        tls_config: {ca_file: ca.crt}
"""


@pytest.fixture
def pbx_url() -> Iterator[str]:
    with serve(SimulatedPBX(api=APISettings(client_secret=SECRET))) as server:
        yield server.base_url


@pytest.fixture
def web_yml(tmp_path: Path) -> Path:
    issued("ca", "ca").write(tmp_path, "ca")
    issued("server").write(tmp_path, "server")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    path = tmp_path / "web.yml"
    path.write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
        f"basic_auth_users: {{prometheus: '{hashed}'}}\n"
    )
    return path


def test_a_real_prometheus_scrapes_over_tls_with_a_login_and_is_told_so_by_sd(
    tmp_path: Path, pbx_url: str, web_yml: Path
) -> None:
    config = write_config(tmp_path, pbx_url, pbx_url.replace("127.0.0.1", "localhost"))
    with Exporter(config, "--web.config.file", str(web_yml)) as exporter:
        text = PROMETHEUS_YML % (PASSWORD, exporter.port, PASSWORD)
        with Prometheus(tmp_path, exporter.address, text=text) as prometheus:
            eventually("both PBXs are up", lambda: len(prometheus.query("cdr_up == 1")) == 2)

        assert not any("level=warn" in line or "level=error" in line for line in exporter.output)


def test_nobody_gets_in_without_the_login_or_without_tls(
    tmp_path: Path, pbx_url: str, web_yml: Path
) -> None:
    config = write_config(tmp_path, pbx_url)
    with Exporter(config, "--web.config.file", str(web_yml)) as exporter:

        def status(url: str, password: str = "") -> int:
            login = base64.b64encode(f"prometheus:{password}".encode()).decode()
            request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})
            context: ssl.SSLContext = client_context()
            try:
                with urllib.request.urlopen(request, timeout=10, context=context) as response:
                    return int(response.status)
            except urllib.error.HTTPError as error:
                return error.code

        healthy = f"https://localhost:{exporter.port}/-/healthy"
        assert status(healthy, PASSWORD) == 200
        assert status(healthy) == 401
        assert status(healthy.replace("https", "http"), PASSWORD) == 400
        assert PASSWORD not in "\n".join(exporter.output)
        assert f"open=https://127.0.0.1:{exporter.port}/" in "\n".join(exporter.output)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("basic_auth: {}\n", "basic_auth: is an unknown key; did you", id="key"),
        pytest.param(
            "tls_server_config: {cert_file: a, key_file: b}\n",
            "tls_server_config.cert_file: cannot be read (no such file",
            id="file",
        ),
    ],
)
def test_a_bad_web_configuration_is_exit_2_and_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "web.yml"
    path.write_text(text)
    config = write_config(tmp_path, f"http://127.0.0.1:{free_port()}")

    ended = subprocess.run(
        [
            *(sys.executable, "-m", "cdr_exporter", "--config.file", str(config)),
            *("--web.listen-address", "127.0.0.1:0", "--web.config.file", str(path)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"cdr-exporter: {path}: {message}")
