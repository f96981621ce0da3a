"""`deploy/compose.yml`, judged without Docker: what it mounts, names and starts."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdr_exporter import cli
from cdr_exporter.config import load
from pbx_simulator.command_line import listen_address

from ..support.grafana_provisioning import DASHBOARDS, DATA_SOURCES, environment, the_only
from ..support.paths import ROOT
from ..support.programs import require

FOLDER = ROOT / "deploy"
COMPOSE = yaml.safe_load((FOLDER / "compose.yml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()

each_service = pytest.mark.parametrize("service", SERVICES)


def mounts(service: str) -> Iterator[tuple[str, str, str]]:
    """Yield source, target and mode of what is mounted into a service."""
    for each in SERVICES[service].get("volumes", ()):
        source, target, mode = (*each.split(":"), "rw")[:3]
        yield source, target, mode


def mounted(service: str, target: str) -> Path:
    """Return the path in the repository of what the service has at *target*."""
    (source,) = (source for source, at, _ in mounts(service) if at == target)
    return FOLDER / source


def command(service: str) -> str:
    return " ".join(SERVICES[service]["command"])


@each_service
def test_what_is_mounted_is_in_the_repository_or_a_volume_that_is_declared(service: str) -> None:
    for source, _, mode in mounts(service):
        if source.startswith("."):
            assert (FOLDER / source).exists(), source
            assert mode == "ro", "a container changes nothing in the repository"
        else:
            assert source in COMPOSE["volumes"]


def test_no_volume_is_declared_for_nobody() -> None:
    used = {source for service in SERVICES for source, _, _ in mounts(service)}

    assert set(COMPOSE["volumes"]) <= used


@each_service
def test_an_image_has_a_version(service: str) -> None:
    _, _, tag = SERVICES[service]["image"].partition(":")

    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)


def test_our_image_has_the_version_of_the_project_and_is_built_from_it() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    for service in ("pbx", "exporter"):
        assert SERVICES[service]["image"] == f"cdr-exporter:{version}"
        assert (FOLDER / SERVICES[service]["build"] / "Dockerfile").is_file()


@each_service
def test_a_container_can_do_no_more_than_it_needs(service: str) -> None:
    settings = SERVICES[service]

    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in settings


@each_service
def test_a_service_says_whether_it_is_well(service: str) -> None:
    ours_by_itself = service == "exporter" and "\nHEALTHCHECK" in DOCKERFILE

    assert ours_by_itself or SERVICES[service]["healthcheck"]["test"][0] == "CMD"


@each_service
def test_ports_are_for_this_machine_only(service: str) -> None:
    for port in SERVICES[service].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


@each_service
def test_what_a_service_needs_is_a_service(service: str) -> None:
    assert set(SERVICES[service].get("depends_on", ())) <= SERVICES.keys()


def published(service: str) -> str:
    (port,) = SERVICES[service]["ports"]
    return str(port.rpartition(":")[2])


def test_our_commands_are_commands() -> None:
    for service in ("pbx", "exporter"):
        assert cli._parse(SERVICES[service]["command"]).command


def test_the_exporter_finds_its_configuration_and_keeps_its_state() -> None:
    path = mounted("exporter", "/etc/cdr-exporter/exporter.yml")
    settings = load(path)

    assert command("exporter") == "run --config.file /etc/cdr-exporter/exporter.yml"
    assert [target for _, target, mode in mounts("exporter") if mode == "rw"] == [
        str(settings.state_dir)
    ]
    assert f"VOLUME {settings.state_dir}\n" in DOCKERFILE
    assert f"EXPOSE {published('exporter')}\n" in DOCKERFILE


def test_the_exporter_has_nothing_against_its_configuration() -> None:
    path = mounted("exporter", "/etc/cdr-exporter/exporter.yml")
    done = subprocess.run(
        [sys.executable, "-m", "cdr_exporter", "check", "--config.file", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{path}: valid, 1 PBX\n"


def test_the_exporter_polls_the_simulated_pbx_with_its_credentials() -> None:
    (pbx,) = load(mounted("exporter", "/etc/cdr-exporter/exporter.yml")).pbxs
    simulated: Any = cli._parse(SERVICES["pbx"]["command"])
    host, port = simulated.listen

    assert listen_address("0.0.0.0:1")[0] == host, "others reach it"
    assert pbx.base_url == f"http://pbx:{port}"
    assert pbx.client_id == simulated.client_id
    assert pbx.secret.value is not None
    assert pbx.secret.value.reveal() == "simulated-secret"
    assert f":{port}/{pbx.api_path}/" in str(SERVICES["pbx"]["healthcheck"]["test"])


def test_prometheus_has_the_configuration_of_the_example_but_for_the_names(tmp_path: Path) -> None:
    mine = yaml.safe_load(mounted("prometheus", "/etc/prometheus/prometheus.yml").read_text())
    text = (ROOT / "prometheus/prometheus.yml").read_text()
    for service, port in (("exporter", 10088), ("alertmanager", 9093)):
        assert published(service) == str(port)
        text = text.replace(f"[localhost:{port}]", f"[{service}:{port}]")

    assert mine == yaml.safe_load(text)
    assert "--config.file=/etc/prometheus/prometheus.yml" in command("prometheus")
    assert f"--storage.tsdb.path={next(t for s, t, _ in mounts('prometheus') if s[0] != '.')}" in (
        command("prometheus")
    )
    # As it lies in the container, for the rules to be found.
    (tmp_path / "rules").symlink_to(mounted("prometheus", "/etc/prometheus/rules").resolve())
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(mine))
    judge("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


def test_alertmanager_has_the_example() -> None:
    path = mounted("alertmanager", "/etc/alertmanager/alertmanager.yml")

    assert path.resolve() == ROOT / "prometheus" / "alertmanager.yml"
    assert "--config.file=/etc/alertmanager/alertmanager.yml" in command("alertmanager")
    judge("amtool", "check-config", str(path))


def test_grafana_shows_the_dashboards_at_first_sight() -> None:
    grafana = SERVICES["grafana"]
    shown = the_only(DASHBOARDS, "providers")["options"]["path"]
    first = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert mounted("grafana", "/etc/grafana/provisioning").resolve() == DASHBOARDS.parent
    assert mounted("grafana", shown).resolve() == ROOT / "grafana" / "dashboards"
    assert str(first.parent) == shown
    assert (mounted("grafana", shown) / first.name).is_file()
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_grafana_finds_prometheus() -> None:
    environment_here = SERVICES["grafana"]["environment"]

    assert set(environment()) <= set(environment_here)
    assert environment_here["PROMETHEUS_URL"] == f"http://prometheus:{published('prometheus')}"
    assert the_only(DATA_SOURCES, "datasources")["url"] == "${PROMETHEUS_URL}"


def test_the_addresses_in_the_comment_are_those_that_are_open() -> None:
    comment, _, _ = (FOLDER / "compose.yml").read_text().partition("\nname:")

    assert sorted(re.findall(r"localhost:(\d+)", comment)) == sorted(
        published(service) for service in SERVICES if "ports" in SERVICES[service]
    )


def judge(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [require(program), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
