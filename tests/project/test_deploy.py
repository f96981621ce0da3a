"""`deploy/compose.yml`, judged without Docker: what it mounts, names and starts."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
import yaml

from cdr_exporter import cli
from cdr_exporter.commands.history import DEFAULT_LABELS
from cdr_exporter.config import load
from pbx_simulator.command_line import listen_address

from ..support.compose import needs
from ..support.grafana_provisioning import DASHBOARDS, DATA_SOURCES, environment, the_only
from ..support.paths import ROOT
from ..support.programs import require

FOLDER = ROOT / "deploy"
COMPOSE = yaml.safe_load((FOLDER / "compose.yml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()

OURS = [name for name, each in SERVICES.items() if each["image"].startswith("cdr-exporter:")]
ONE_SHOTS = [name for name, each in SERVICES.items() if each["restart"] == "no"]
PBXS = ("hq", "branch")
REPLICAS = [
    name for name, each in SERVICES.items() if "--web.advertise-address" in each.get("command", ())
]
RUN_SECRETS = "/run/secrets/"

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

    # PostgreSQL's versions have two numbers.
    assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag)


def test_our_image_has_the_version_of_the_project_and_is_built_from_it() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    for service in OURS:
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
    assert service in ONE_SHOTS or SERVICES[service]["healthcheck"]["test"][0] == "CMD"


@each_service
def test_ports_are_for_this_machine_only(service: str) -> None:
    for port in SERVICES[service].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_each_service_has_its_own_port_on_this_machine() -> None:
    ours = [opened(service) for service in SERVICES if "ports" in SERVICES[service]]

    assert len(ours) == len({*ours})


@each_service
def test_what_a_service_needs_is_a_service_that_is_started_with_it(service: str) -> None:
    for other in needs(service):
        started_with = SERVICES[other].get("profiles", ())

        assert set(started_with) <= set(SERVICES[service].get("profiles", ()))


@each_service
def test_what_ends_is_waited_for_until_it_has_and_what_runs_is_not(service: str) -> None:
    for other, condition in needs(service).items():
        assert (condition == "service_completed_successfully") is (other in ONE_SHOTS)


def test_each_volume_is_written_by_the_user_of_one_image_only() -> None:
    """An image's user cannot write into a folder of another one's."""
    writers: dict[str, set[str]] = {}
    for service in SERVICES:
        for source, _, mode in mounts(service):
            if mode == "rw":
                writers.setdefault(source, set()).add(SERVICES[service]["image"])

    assert {source: len(images) for source, images in writers.items()} == dict.fromkeys(writers, 1)
    assert writers.keys() == COMPOSE["volumes"].keys()


def test_the_blocks_are_written_where_anybody_may_write_and_copied_from_there() -> None:
    [written] = re.findall(r"--output (\S+)", command("history"))
    [(folder, target)] = re.findall(r"cp -r (\S+)/\. (\S+)/", command("past"))

    assert written == folder
    assert [source for source, at, _ in mounts("history") if folder.startswith(at + "/")] == [
        "past"
    ]
    assert target == next(at for source, at, _ in mounts("prometheus") if source[0] != ".")


def test_history_is_of_the_series_that_prometheus_scrapes() -> None:
    line = command("history").partition("exec cdr-exporter ")[2]
    asked: Any = cli._parse(line.split())
    scrapes = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    [target] = scrapes[0]["static_configs"][0]["targets"]
    days = {days_of(service) for service in PBXS}

    assert asked.new_prometheus
    assert dict(asked.label) == {"instance": target}
    assert scrapes[0]["job_name"] == DEFAULT_LABELS["job"]
    assert asked.days < min(days)
    assert asked.config_file == Path("/etc/cdr-exporter/exporter.yml")
    assert mounted("history", str(asked.config_file)) == mounted("exporter", str(asked.config_file))


def days_of(service: str) -> int:
    simulated: Any = cli._parse(SERVICES[service]["command"])
    return int(simulated.days)


def published(service: str) -> str:
    """Return the port of a service that others reach."""
    (port,) = SERVICES[service]["ports"]
    return str(port.split(":")[2])


def opened(service: str) -> str:
    """Return the port of this machine that leads to it."""
    (port,) = SERVICES[service]["ports"]
    return str(port.split(":")[1])


def test_our_commands_are_commands() -> None:
    for service in (*PBXS, "exporter", *REPLICAS):
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
    assert done.stdout == f"{path}: valid, 2 PBXs\n"


@pytest.mark.parametrize("number", [0, 1], ids=PBXS)
def test_the_exporter_polls_a_simulated_pbx_with_its_credentials(number: int) -> None:
    pbx = load(mounted("exporter", "/etc/cdr-exporter/exporter.yml")).pbxs[number]
    simulated: Any = cli._parse(SERVICES[PBXS[number]]["command"])
    host, port = simulated.listen
    offset = datetime.now(ZoneInfo(pbx.timezone)).utcoffset()

    assert listen_address("0.0.0.0:1")[0] == host, "others reach it"
    assert pbx.base_url == f"http://{PBXS[number]}:{port}"
    assert pbx.start == "all"
    assert offset == timedelta(hours=simulated.utc_offset)
    assert simulated.min_calls_per_minute > 0, "there is something to see at night"
    assert pbx.client_id == simulated.client_id
    assert pbx.secret.value is not None
    assert pbx.secret.value.reveal() == "simulated-secret"
    assert f":{port}/{pbx.api_path}/" in str(SERVICES[PBXS[number]]["healthcheck"]["test"])


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


def test_alertmanager_has_the_example_but_for_the_receiver() -> None:
    path = mounted("alertmanager", "/etc/alertmanager/alertmanager.yml")
    text = (ROOT / "prometheus" / "alertmanager.yml").read_text()
    [port] = re.findall(r"localhost:(\d+)", text)

    assert yaml.safe_load(path.read_text()) == yaml.safe_load(
        text.replace(f"localhost:{port}", f"alerts:{port}")
    )
    assert SERVICES["alerts"]["command"] == [f"0.0.0.0:{port}"]
    assert f":{port}/" in SERVICES["alerts"]["healthcheck"]["test"][-1]
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
        opened(service) for service in SERVICES if "ports" in SERVICES[service]
    )


# --- Replicas -------------------------------------------------------------------------------------


def secret(name: str) -> str:
    file: str = COMPOSE["secrets"][name]["file"]
    return (FOLDER / file).read_text().strip()


def test_replicas_share_the_pbxs_of_the_exporter_and_keep_their_state_in_the_database() -> None:
    alone, shared = (
        yaml.safe_load((FOLDER / name).read_text())
        for name in ("exporter.yml", "exporter-replicas.yml")
    )
    for replica in REPLICAS:
        assert mounted(replica, "/etc/cdr-exporter/exporter.yml").name == "exporter-replicas.yml"
        assert SERVICES[replica]["secrets"] == [shared["state_url_file"].removeprefix(RUN_SECRETS)]
        assert [mode for _, _, mode in mounts(replica)] == ["ro"]

    differ = ("state_dir", "state_url_file", "lease")
    assert {name: value for name, value in alone.items() if name not in differ} == {
        name: value for name, value in shared.items() if name not in differ
    }
    assert "state_dir" not in shared


def test_the_database_is_the_one_that_the_replicas_are_told_of() -> None:
    url = urlsplit(secret("database-url"))
    settings = SERVICES["postgres"]["environment"]
    health = SERVICES["postgres"]["healthcheck"]["test"]

    assert url.scheme == "postgresql"
    assert (url.hostname, url.port) == ("postgres", 5432)
    assert url.username == settings["POSTGRES_USER"] == health[health.index("--username") + 1]
    assert url.path.strip("/") == settings["POSTGRES_DB"]
    assert url.password == secret("postgres-password")
    assert SERVICES["postgres"]["secrets"] == [
        settings["POSTGRES_PASSWORD_FILE"].removeprefix(RUN_SECRETS)
    ]


def test_each_replica_is_named_by_its_own_address() -> None:
    for replica in REPLICAS:
        *_, flag, address = SERVICES[replica]["command"]

        assert flag == "--web.advertise-address"
        assert address == f"{replica}:{published(replica)}"


def test_prometheus_has_the_example_for_replicas_but_for_names_and_alertmanager() -> None:
    mine, example = (
        yaml.safe_load(path.read_text())
        for path in (
            mounted("prometheus-of-replicas", "/etc/prometheus/prometheus.yml"),
            ROOT / "prometheus/prometheus-replicas.yml",
        )
    )
    of_pbxs, of_replicas = mine["scrape_configs"]
    (discovery,) = of_pbxs["http_sd_configs"]
    url = urlsplit(discovery["url"])
    targets = {"targets": [f"{replica}:{published(replica)}" for replica in REPLICAS]}

    for replica in REPLICAS:
        assert url.hostname in SERVICES[replica]["networks"]["default"]["aliases"]
        assert str(url.port) == published(replica)
    assert of_replicas.pop("static_configs") == [targets]
    # The names of the example are in DNS, the ones here known to the engine.
    for each in (of_pbxs, example["scrape_configs"][0]):
        each["http_sd_configs"][0]["url"] = urlsplit(each["http_sd_configs"][0]["url"]).path
    del example["scrape_configs"][1]["dns_sd_configs"], example["alerting"]
    assert mine == example


def test_prometheus_takes_the_configuration_for_replicas(tmp_path: Path) -> None:
    file = mounted("prometheus-of-replicas", "/etc/prometheus/prometheus.yml")
    (tmp_path / "rules").symlink_to((ROOT / "prometheus/rules").resolve())
    (tmp_path / "prometheus.yml").write_text(file.read_text())

    judge("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


def judge(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [require(program), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
