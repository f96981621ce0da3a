"""`deploy/kubernetes`: valid by the schemas, at one with image and program, and rendered."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from cdr_exporter import bundled, cli, config
from cdr_exporter.commands.exporter import VERSION
from deploy.kubernetes import write_rules

from ..support.paths import ROOT
from ..support.web import app, ask, snapshot

Manifest = dict[str, Any]

FOLDER = ROOT / "deploy/kubernetes"
BASE, EXAMPLE = FOLDER / "base", FOLDER / "example"
DOCKERFILE = (ROOT / "Dockerfile").read_text()

OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
"""The versions of Kubernetes whose schemas are asked."""

OPERATOR_SCHEMAS: Mapping[str, Manifest] = {
    path.name.split(".")[0]: json.loads(path.read_text())
    for path in (Path(__file__).parent / "data").glob("*.schema.json")
}


def kustomization(folder: Path) -> Manifest:
    read: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return read


@cache
def manifests() -> Sequence[Manifest]:
    """Return the objects of the base."""
    paths = [path for path in sorted(BASE.glob("*.yaml")) if path.name != "kustomization.yaml"]
    return [each for path in paths for each in objects_in(path.read_text())]


def objects_in(text: str) -> list[Manifest]:
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def check(manifest: Manifest) -> None:
    """Raise where Kubernetes or the operator would refuse *manifest*, or not know a field of it."""
    schema = OPERATOR_SCHEMAS.get(manifest["kind"])
    if schema is not None:
        jsonschema.validate(manifest, schema)
    else:
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(manifest, version, strict=True)


def the(kind: str) -> Manifest:
    """Return the one object of a *kind* in the base."""
    (found,) = (each for each in manifests() if each["kind"] == kind)
    return found


def pod() -> Manifest:
    spec: Manifest = the("StatefulSet")["spec"]["template"]["spec"]
    return spec


def container() -> Manifest:
    (only,) = pod()["containers"]
    found: Manifest = only
    return found


@cache
def rendered(folder: Path) -> list[Manifest]:
    """Return what kubectl makes of a folder; skips where it is not there or too old."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed, so nothing renders the kustomizations")
    version = subprocess.run(
        [kubectl, "version", "--client", "-o", "json"], capture_output=True, text=True, check=False
    )
    if "kustomizeVersion" not in version.stdout:
        pytest.skip("this kubectl is too old to know the fields that the kustomizations use")
    done = subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return objects_in(done.stdout)


# --- By the schemas -------------------------------------------------------------------------------


def test_every_manifest_is_valid() -> None:
    kinds = []
    for manifest in manifests():
        check(manifest)
        kinds.append(manifest["kind"])

    assert {"StatefulSet", "Service", "NetworkPolicy", "ServiceMonitor", "PrometheusRule"} == {
        *kinds
    }


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("StatefulSet", ("spec", "template", "spec")),
        ("Service", ("spec",)),
        ("ServiceMonitor", ("spec",)),
    ],
    ids=["StatefulSet", "Service", "ServiceMonitor"],
)
def test_a_field_that_does_not_exist_is_found(kind: str, path: tuple[str, ...]) -> None:
    manifest = deepcopy(the(kind))
    place = manifest
    for name in path:
        place = place[name]
    place["autmountServiceAccountToken"] = False

    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(manifest)


# --- At one with the program, its image and its rules ---------------------------------------------


def test_the_rules_are_those_of_prometheus_with_their_comments() -> None:
    written = write_rules.TARGET.read_text()

    assert written == write_rules.objects(), "run make kubernetes"
    assert [each["spec"] for each in objects_in(written)] == [
        yaml.safe_load(text) for text in bundled.rules().values()
    ]


def test_their_links_can_lead_to_the_exporter() -> None:
    assert "runbook_url: https://cdr.example/runbook#cdrpbxdown\n" in write_rules.objects(
        "https://cdr.example"
    )


def test_the_command_is_understood() -> None:
    parsed = cli._parser().parse_args(container()["args"])

    assert parsed.config_file == Path("/etc/cdr-exporter/exporter.yml")


def test_user_and_port_are_those_of_the_image() -> None:
    security = pod()["securityContext"]
    user, group = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]
    (port,) = container()["ports"]

    assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    assert security["fsGroup"] == int(group)
    assert f"EXPOSE {port['containerPort']}\n" in DOCKERFILE
    assert the("Service")["spec"]["ports"][0]["port"] == port["containerPort"]
    assert the("NetworkPolicy")["spec"]["ingress"][0]["ports"] == [
        {"protocol": "TCP", "port": port["containerPort"]}
    ]


def test_what_the_pod_may_do_is_little() -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=["base", "example"])
def test_the_configuration_is_valid_and_finds_its_files_where_they_are_mounted(
    folder: Path,
) -> None:
    settings = config.load(folder / "exporter.yml")
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    secrets = [pbx.secret.file for pbx in settings.pbxs]

    assert str(settings.state_dir) == mounts["state"] == "/state"
    assert re.search(r"^VOLUME /state$", DOCKERFILE, re.MULTILINE)
    assert {str(path.parent) for path in secrets if path} == {mounts["secrets"]}
    assert mounts["config"] == "/etc/cdr-exporter"


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_a_probe_asks_for_a_path_that_there_is(probe: str) -> None:
    asked = container()[probe]["httpGet"]

    assert asked["port"] == container()["ports"][0]["name"]
    assert ask(app(snapshot()), asked["path"]).status in (200, 503)


def test_series_go_on_when_the_pod_gets_another_address() -> None:
    monitor = the("ServiceMonitor")["spec"]
    labels = the("Service")["metadata"]["labels"]

    assert {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"} in (
        monitor["endpoints"][0]["relabelings"]
    )
    # The name that the rules look for.
    assert labels[monitor["jobLabel"]] == "cdr-exporter"


def test_what_selects_finds_the_pod() -> None:
    labels = the("StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        the("StatefulSet")["spec"]["selector"]["matchLabels"],
        the("Service")["spec"]["selector"],
        the("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]

    assert all(selector.items() <= labels for selector in selectors)
    monitored = the("ServiceMonitor")["spec"]["selector"]["matchLabels"]
    assert monitored.items() <= the("Service")["metadata"]["labels"].items()
    assert the("StatefulSet")["spec"]["serviceName"] == the("Service")["metadata"]["name"]


def test_a_kustomization_names_every_file_beside_it() -> None:
    named = {*kustomization(BASE)["resources"]} - {"../../../grafana"}
    dashboards = kustomization(ROOT / "grafana")["configMapGenerator"]

    assert named == {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}
    assert sorted(file for each in dashboards for file in each["files"]) == [
        f"dashboards/{path.name}" for path in sorted((ROOT / "grafana/dashboards").iterdir())
    ]
    assert all(
        (BASE / file).is_file()
        for each in kustomization(BASE)["configMapGenerator"]
        for file in each["files"]
    )


# --- Rendered -------------------------------------------------------------------------------------


def test_what_kubectl_renders_is_valid() -> None:
    found = rendered(BASE)
    for manifest in found:
        check(manifest)

    assert {each["kind"] for each in found} == {
        "ConfigMap",
        "StatefulSet",
        "Service",
        "NetworkPolicy",
        "ServiceMonitor",
        "PrometheusRule",
    }


def test_grafanas_sidecar_finds_the_dashboards() -> None:
    labelled = [
        each["data"]
        for each in rendered(BASE)
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]

    assert {name: text.encode() for data in labelled for name, text in data.items()} == (
        bundled.dashboards()
    )
    assert all(len(data) == 1 for data in labelled)
    assert all(len(text) < 1_048_576 for data in labelled for text in data.values())


def test_the_example_changes_what_a_site_has_to_change() -> None:
    found = rendered(EXAMPLE)
    (stateful_set,) = (each for each in found if each["kind"] == "StatefulSet")
    spec = stateful_set["spec"]["template"]["spec"]
    configured = spec["volumes"][0]["configMap"]["name"]
    (mounted,) = (each for each in found if each["metadata"]["name"] == configured)
    selected = [each for each in found if each["kind"] in OPERATOR_SCHEMAS]

    assert spec["containers"][0]["image"] == f"registry.example.org/cdr-exporter:{VERSION}"
    assert mounted["data"] == {"exporter.yml": (EXAMPLE / "exporter.yml").read_text()}
    assert {each["metadata"]["namespace"] for each in found} == {"monitoring"}
    assert {each["metadata"]["labels"]["release"] for each in selected} == {"kube-prometheus-stack"}
    assert len(selected) == 1 + len(bundled.rules())
