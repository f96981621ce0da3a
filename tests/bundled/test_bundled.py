from __future__ import annotations

import json
import operator
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
import yaml

from cdr_exporter import bundled, cli
from cdr_exporter.errors import ExporterError
from cdr_exporter.web.runbook import runbook_page

from ..support.paths import ROOT
from ..support.processes import Exporter
from ..support.web import app, ask, snapshot


def files(folder: str, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (ROOT / folder).glob(pattern)}


def test_the_files_that_people_edit_are_bundled() -> None:
    assert bundled.dashboards() == files("grafana/dashboards", "*.json") != {}
    assert bundled.rules() == files("prometheus/rules", "*.yml") != {}


def test_what_is_bundled_can_be_read() -> None:
    assert all(json.loads(content)["uid"] for content in bundled.dashboards().values())
    assert all(yaml.safe_load(content)["groups"] for content in bundled.rules().values())


def test_every_dashboard_is_served_as_the_file_it_is() -> None:
    names = {path.name for path in (ROOT / "grafana/dashboards").iterdir()}
    web = app(snapshot(), dashboards=bundled.dashboards())

    assert len(names) == 4
    assert set(re.findall(r'href="([^"]+\.json)"', ask(web, "/dashboards/").text)) == names
    for name in names:
        response = ask(web, f"/dashboards/{name}")
        assert response.headers["Content-Type"] == "application/json"
        assert response.body == (ROOT / "grafana/dashboards" / name).read_bytes()


@pytest.mark.e2e
def test_the_program_serves_and_writes_the_files_that_people_edit(tmp_path: Path) -> None:
    config = tmp_path / "exporter.yml"
    config.write_text(
        "pbxs:\n  - {name: hq, base_url: 'http://127.0.0.1:1', client_id: x, client_secret: y}\n"
    )
    command = [sys.executable, "-m", "cdr_exporter", "dashboards", "--output", str(tmp_path)]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)

    with Exporter(config) as exporter:
        for folder, kind in (("grafana/dashboards", "dashboards"), ("prometheus/rules", "rules")):
            edited = files(folder, "*")
            assert {p.name: p.read_bytes() for p in (tmp_path / kind).iterdir()} == edited
            for name, content in edited.items():
                assert exporter.get(f"/{kind}/{name}").encode() == content


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        operator.setitem(cast("dict[str, bytes]", bundled.rules()), "new.yml", b"")


def test_writing_creates_the_directories_and_returns_the_paths(tmp_path: Path) -> None:
    place = tmp_path / "new" / "place"

    written = bundled.write_files(place)

    expected = {
        **{f"dashboards/{name}": content for name, content in bundled.dashboards().items()},
        **{f"rules/{name}": content for name, content in bundled.rules().items()},
        "RUNBOOK.md": (ROOT / "prometheus/RUNBOOK.md").read_bytes(),
        "examples/exporter.yml": (ROOT / "exporter.yml").read_bytes(),
        "examples/prometheus.yml": (ROOT / "prometheus/prometheus.yml").read_bytes(),
        "examples/prometheus-replicas.yml": (
            ROOT / "prometheus/prometheus-replicas.yml"
        ).read_bytes(),
        "examples/alertmanager.yml": (ROOT / "prometheus/alertmanager.yml").read_bytes(),
        "examples/web.yml": (ROOT / "prometheus/web.yml").read_bytes(),
    }
    assert {str(path.relative_to(place)): path.read_bytes() for path in written} == expected


RUNBOOK_URL = re.compile(rb"runbook_url: (\S+)")


def test_the_links_of_the_rules_open_the_runbook_of_the_exporter_at_their_alert() -> None:
    found = b"".join(bundled.rules("https://mon.example/cdr/").values())
    page = runbook_page(bundled.runbook())
    links = {link.decode() for link in RUNBOOK_URL.findall(found)}

    assert len(links) > 30
    for link in links:
        place, _, anchor = link.partition("#")
        assert place == "https://mon.example/cdr/runbook"
        assert f' id="{anchor}">' in page


def test_but_for_their_links_the_rules_stay_as_they_are() -> None:
    with_links, as_they_are = bundled.rules("http://mon:10088"), bundled.rules()

    assert with_links.keys() == as_they_are.keys()
    for name, text in with_links.items():
        assert RUNBOOK_URL.sub(b"", text) == RUNBOOK_URL.sub(b"", as_they_are[name])


def test_the_command_writes_rules_with_the_links_that_are_asked_for(tmp_path: Path) -> None:
    url = "http://mon:10088"

    assert cli.main(["dashboards", "--output", str(tmp_path), "--external-url", url]) == 0

    written = {path.name: path.read_bytes() for path in (tmp_path / "rules").iterdir()}
    assert written == bundled.rules(url)


def test_an_address_that_is_none_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["dashboards", "--output", str(tmp_path), "--external-url", "mon:10088"]

    assert cli.main(arguments) == 2

    assert capsys.readouterr().err.startswith("cdr-exporter: --external-url: not of the form http")
    assert list(tmp_path.iterdir()) == []


def test_writing_again_replaces_its_own_files_and_leaves_others(tmp_path: Path) -> None:
    (mine, *_) = bundled.write_files(tmp_path)
    mine.write_text("old")
    other = tmp_path / "dashboards" / "other.json"
    other.write_text("{}")

    bundled.write_files(tmp_path)

    assert mine.read_bytes() == bundled.dashboards()[mine.name]
    assert other.read_text() == "{}"


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        bundled.FileWriteError, match=r"^cannot write .*/file/dashboards/.*: "
    ) as caught:
        bundled.write_files(tmp_path / "file")

    assert isinstance(caught.value, ExporterError)


def test_files_in_the_package_are_used_rather_than_those_of_a_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout" / "prometheus" / "rules"
    packaged = tmp_path / "packaged" / "rules"
    checkout.mkdir(parents=True)
    (checkout / "a.yml").write_bytes(b"checkout")

    def rules() -> Mapping[str, bytes]:
        return bundled._read("rules/*.yml", tmp_path / "packaged", tmp_path / "checkout")

    assert rules() == {"a.yml": b"checkout"}

    packaged.mkdir(parents=True)
    (packaged / "b.yml").write_bytes(b"packaged")

    assert rules() == {"b.yml": b"packaged"}


def test_a_program_without_its_files_still_runs(tmp_path: Path) -> None:
    assert bundled._read("rules/*.yml", tmp_path, tmp_path) == {}
