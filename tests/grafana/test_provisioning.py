"""How the dashboards come into Grafana by files. No Grafana runs here: the files are judged."""

from __future__ import annotations

import re

import yaml

from ..support.grafana_provisioning import (
    DASHBOARDS,
    DATA_SOURCES,
    FOLDER,
    environment,
    the_only,
)


def test_the_data_source_has_a_uid_that_stays() -> None:
    source = the_only(DATA_SOURCES, "datasources")

    assert (source["uid"], source["type"]) == ("cdr-prometheus", "prometheus")
    assert source["access"] == "proxy", "browsers need not reach Prometheus"
    assert "isDefault" not in source, "Grafana refuses to start with two defaults"


def test_the_address_of_prometheus_comes_from_the_environment() -> None:
    names = re.findall(r"\$\{?(\w+)\}?", the_only(DATA_SOURCES, "datasources")["url"])

    assert names == ["PROMETHEUS_URL"] == list(environment())
    assert environment()["PROMETHEUS_URL"] == "http://localhost:9090"


def test_grafana_knows_the_scrape_interval_of_the_example() -> None:
    source = the_only(DATA_SOURCES, "datasources")
    example = yaml.safe_load((FOLDER.parent.parent / "prometheus/prometheus.yml").read_text())

    assert source["jsonData"]["timeInterval"] == example["global"]["scrape_interval"]


def test_the_dashboards_are_in_a_folder_of_their_own_and_not_changed_by_hand() -> None:
    provider = the_only(DASHBOARDS, "providers")

    assert (provider["type"], provider["folder"]) == ("file", "Telephony")
    assert provider["allowUiUpdates"] is False


def test_the_command_above_puts_the_files_where_grafana_looks() -> None:
    (path,) = DASHBOARDS.iterdir()
    comment = "".join(re.findall(r"^#(.*\n)", path.read_text(encoding="utf-8"), re.MULTILINE))
    mounts = dict(re.findall(r"-v \./(\S+):(\S+):ro", comment))
    output = re.search(r"dashboards --output (\S+?)`", comment)
    looked_at = the_only(DASHBOARDS, "providers")["options"]["path"]

    assert mounts["grafana/dashboards"] == looked_at
    assert mounts["grafana/provisioning"] == "/etc/grafana/provisioning"
    assert f"--env-file {(FOLDER / 'grafana.env').relative_to(FOLDER.parent.parent)}" in comment
    assert all((FOLDER.parent.parent / source).is_dir() for source in mounts)
    # The command writes a directory `dashboards` into its --output.
    assert output
    assert f"{output[1]}/dashboards" == looked_at
