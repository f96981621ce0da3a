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
from urllib.parse import urlsplit

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
BASE, EXAMPLE, REPLICAS = FOLDER / "base", FOLDER / "example", FOLDER / "replicas"
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
def manifests(folder: Path = BASE) -> Sequence[Manifest]:
    """Return the objects that stand in the files of a folder."""
    paths = [path for path in sorted(folder.glob("*.yaml")) if path.name != "kustomization.yaml"]
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


def the(kind: str, among: Sequence[Manifest] | None = None) -> Manifest:
    """Return the one object of a *kind*, in the base unless told otherwise."""
    (found,) = (each for each in among or manifests() if each["kind"] == kind)
    return found


def workload(folder: Path) -> Manifest:
    """Return what makes the pods of a folder."""
    (found,) = (each for each in manifests(folder) if each["kind"] in ("Deployment", "StatefulSet"))
    return found


def pod(folder: Path = BASE) -> Manifest:
    spec: Manifest = workload(folder)["spec"]["template"]["spec"]
    return spec


def container(folder: Path = BASE) -> Manifest:
    (only,) = pod(folder)["containers"]
    found: Manifest = only
    return found


def mounted_at(folder: Path) -> dict[str, str]:
    """Return where each volume of a folder's container is."""
    return {mount["name"]: mount["mountPath"] for mount in container(folder)["volumeMounts"]}


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


KINDS = {
    BASE: {"StatefulSet", "Service", "NetworkPolicy", "ServiceMonitor", "PrometheusRule"},
    REPLICAS: {"Deployment", "PodDisruptionBudget", "ScrapeConfig", "PodMonitor"},
}
each_workload = pytest.mark.parametrize("folder", [BASE, REPLICAS], ids=["base", "replicas"])


# --- By the schemas -------------------------------------------------------------------------------


@each_workload
def test_every_manifest_is_valid(folder: Path) -> None:
    for manifest in manifests(folder):
        check(manifest)

    assert {manifest["kind"] for manifest in manifests(folder)} == KINDS[folder]


_POD = ("spec", "template", "spec")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param("StatefulSet", _POD, id="StatefulSet"),
        pytest.param("Deployment", _POD, id="Deployment"),
        *(
            pytest.param(kind, ("spec",), id=kind)
            for kind in ("Service", "ServiceMonitor", "PodDisruptionBudget", "PodMonitor")
        ),
        pytest.param("ScrapeConfig", ("spec",), id="ScrapeConfig"),
    ],
)
def test_a_field_that_does_not_exist_is_found(kind: str, path: tuple[str, ...]) -> None:
    manifest = deepcopy(the(kind, [*manifests(BASE), *manifests(REPLICAS)]))
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


@each_workload
def test_the_command_is_understood(folder: Path) -> None:
    words = [word.replace("$(POD_IP)", "192.0.2.7") for word in container(folder)["args"]]
    parsed = cli._parser().parse_args(words)

    assert parsed.config_file == Path("/etc/cdr-exporter/exporter.yml")


@each_workload
def test_user_and_port_are_those_of_the_image(folder: Path) -> None:
    security = pod(folder)["securityContext"]
    user, group = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]
    (port,) = container(folder)["ports"]

    assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    assert security["fsGroup"] == int(group)
    assert f"EXPOSE {port['containerPort']}\n" in DOCKERFILE
    assert the("Service")["spec"]["ports"][0]["port"] == port["containerPort"]
    assert the("NetworkPolicy")["spec"]["ingress"][0]["ports"] == [
        {"protocol": "TCP", "port": port["containerPort"]}
    ]


@each_workload
def test_what_the_pod_may_do_is_little(folder: Path) -> None:
    assert pod(folder)["automountServiceAccountToken"] is False
    assert pod(folder)["securityContext"]["runAsNonRoot"] is True
    assert container(folder)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=["base", "example"])
def test_the_configuration_is_valid_and_finds_its_files_where_they_are_mounted(
    folder: Path,
) -> None:
    settings = config.load(folder / "exporter.yml")
    mounts = mounted_at(BASE)
    secrets = [pbx.secret.file for pbx in settings.pbxs]

    assert str(settings.state_dir) == mounts["state"] == "/state"
    assert re.search(r"^VOLUME /state$", DOCKERFILE, re.MULTILINE)
    assert {str(path.parent) for path in secrets if path} == {mounts["secrets"]}
    assert mounts["config"] == "/etc/cdr-exporter"


@each_workload
@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_a_probe_asks_for_a_path_that_there_is(probe: str, folder: Path) -> None:
    asked = container(folder)[probe]["httpGet"]

    assert asked["port"] == container(folder)["ports"][0]["name"]
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


@each_workload
def test_a_kustomization_names_every_file_beside_it(folder: Path) -> None:
    named = {*kustomization(folder)["resources"]} - {"../../../grafana", "../base"}
    dashboards = kustomization(ROOT / "grafana")["configMapGenerator"]

    assert named == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert sorted(file for each in dashboards for file in each["files"]) == [
        f"dashboards/{path.name}" for path in sorted((ROOT / "grafana/dashboards").iterdir())
    ]
    assert all(
        (folder / file).is_file()
        for each in kustomization(folder)["configMapGenerator"]
        for file in each["files"]
    )


# --- Replicas -------------------------------------------------------------------------------------


def test_a_replica_differs_from_the_one_pod_in_what_it_is_told_and_mounts_only() -> None:
    told = {"args", "env", "volumeMounts", "volumes", "topologySpreadConstraints", "containers"}

    def same(it: Manifest) -> Manifest:
        return {name: value for name, value in it.items() if name not in told}

    assert same(pod(REPLICAS)) == same(pod(BASE))
    assert same(container(REPLICAS)) == same(container(BASE))
    assert workload(REPLICAS)["spec"]["selector"] == workload(BASE)["spec"]["selector"]


def test_replicas_are_named_by_an_address_that_prometheus_reaches() -> None:
    (port,) = container(REPLICAS)["ports"]
    (environment,) = container(REPLICAS)["env"]

    assert container(REPLICAS)["args"][-1] == (
        f"--web.advertise-address=$({environment['name']}):{port['containerPort']}"
    )
    assert environment["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_replicas_find_the_database_where_its_secret_is_mounted_and_keep_nothing_else() -> None:
    settings = yaml.safe_load((REPLICAS / "exporter.yml").read_text())
    mounts = mounted_at(REPLICAS)
    volumes = {each["name"]: each for each in pod(REPLICAS)["volumes"]}

    assert "state_dir" not in settings
    assert settings["state_url_file"] == f"{mounts['database']}/url"
    assert volumes["database"]["secret"]["secretName"] == "cdr-exporter-database"
    assert "persistentVolumeClaim" not in str(volumes)
    # All that is written: the image's temporary files, as its root is read-only.
    assert {name for name, each in volumes.items() if "emptyDir" in each} == {"temporary"}
    assert f"TMPDIR={mounts['temporary']} " in DOCKERFILE


def test_two_replicas_are_not_taken_away_at_once() -> None:
    spec = workload(REPLICAS)["spec"]
    lease = config.load(REPLICAS / "exporter.yml").lease

    assert spec["replicas"] == 3
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert the("PodDisruptionBudget", manifests(REPLICAS))["spec"]["maxUnavailable"] == 1
    # A third of a lease until a new replica is seen, another until it is given its share.
    assert spec["minReadySeconds"] > lease


def test_prometheus_asks_one_address_where_each_pbx_is_and_asks_often() -> None:
    spec = the("ScrapeConfig", manifests(REPLICAS))["spec"]
    (discovery,) = spec["httpSDConfigs"]
    url = urlsplit(discovery["url"])
    service, port = the("Service")["metadata"]["name"], the("Service")["spec"]["ports"][0]["port"]

    assert (url.hostname, url.port) == (f"{service}.monitoring.svc", port)
    assert ask(app(snapshot()), url.path, host=url.netloc).status == 200
    assert discovery["refreshInterval"] == "10s"
    # The name that the rules look for.
    assert spec["jobName"] == "cdr-exporter"


def test_of_a_replica_itself_everything_is_scraped_that_is_no_series_of_a_pbx() -> None:
    (endpoint,) = the("PodMonitor", manifests(REPLICAS))["spec"]["podMetricsEndpoints"]
    relabelled = {each["targetLabel"]: each for each in endpoint["relabelings"]}
    example = yaml.safe_load((ROOT / "prometheus/prometheus-replicas.yml").read_text())
    _, of_replicas = example["scrape_configs"]
    dropped = [
        {**each, "source_labels": each["sourceLabels"]} for each in endpoint["metricRelabelings"]
    ]

    assert [{k: v for k, v in each.items() if k != "sourceLabels"} for each in dropped] == (
        of_replicas["metric_relabel_configs"]
    )
    assert relabelled["job"]["replacement"] == of_replicas["job_name"]
    assert endpoint["interval"] == of_replicas["scrape_interval"]
    assert relabelled["instance"]["sourceLabels"] == ["__meta_kubernetes_pod_name"]


# --- Rendered -------------------------------------------------------------------------------------


@each_workload
def test_what_kubectl_renders_is_valid(folder: Path) -> None:
    found = rendered(folder)
    for manifest in found:
        check(manifest)

    replaced = {"StatefulSet", "ServiceMonitor"} if folder == REPLICAS else set()
    assert {each["kind"] for each in found} == (
        (KINDS[BASE] - replaced) | KINDS[folder] | {"ConfigMap"}
    )


def test_replicas_may_reach_what_the_one_pod_may_and_postgresql() -> None:
    policy, before = the("NetworkPolicy", rendered(REPLICAS))["spec"], the("NetworkPolicy")["spec"]

    assert policy["ingress"] == before["ingress"]
    assert policy["egress"] == [
        *before["egress"],
        {"ports": [{"protocol": "TCP", "port": 5432}]},
    ]


def test_the_service_of_replicas_leads_to_those_that_are_ready_only() -> None:
    assert the("Service", rendered(REPLICAS))["spec"] == {
        name: value
        for name, value in the("Service")["spec"].items()
        if name not in ("clusterIP", "publishNotReadyAddresses")
    }


def test_the_example_is_one_of_replicas_where_its_comments_are_followed(tmp_path: Path) -> None:
    (tmp_path / "grafana").symlink_to(ROOT / "grafana")
    shutil.copytree(FOLDER, tmp_path / "deploy/kubernetes")
    example = tmp_path / "deploy/kubernetes/example"
    for file, before, after in (
        ("kustomization.yaml", "  - ../base ", "  - ../replicas "),
        ("exporter.yml", "state_dir: /state\n", ""),
        ("exporter.yml", "# state_url_file: ", "state_url_file: "),
    ):
        text = (example / file).read_text()
        assert text.count(before) == 1, before
        (example / file).write_text(text.replace(before, after))

    found = rendered(example)

    spec = the("Deployment", found)["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == f"registry.example.org/cdr-exporter:{VERSION}"
    [mounted] = [
        each
        for each in found
        if each["metadata"]["name"] == spec["volumes"][0]["configMap"]["name"]
    ]
    assert mounted["data"]["exporter.yml"] == (example / "exporter.yml").read_text()
    assert (
        yaml.safe_load(mounted["data"]["exporter.yml"])["state_url_file"]
        == (yaml.safe_load((REPLICAS / "exporter.yml").read_text())["state_url_file"])
    )
    assert {
        each["metadata"]["labels"]["release"] for each in found if each["kind"] in OPERATOR_SCHEMAS
    } == {"kube-prometheus-stack"}


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
