"""The image without a container engine: its steps as `deploy/try_image.py` reads them, its health.

That script does the steps themselves, as root and with a network; here they are read.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cdr_exporter.commands import demo
from cdr_exporter.web import ListenAddress, Server, parse_listen_address
from deploy.try_image import INSTRUCTIONS, Build, Image, let_in, stages

from ..support.each import for_each
from ..support.paths import ROOT
from ..support.socket_server import Wire, certificate, closed_port, ok, say
from ..support.web import app, snapshot

DOCKERFILE = (ROOT / "Dockerfile").read_text()
HEALTH_CHECK = ROOT / "deploy/healthcheck.sh"
TOLD = {"REVISION": "abc", "VERSION": "1.2.3"}


def last_stage(root: Path) -> Image:
    """Do the steps of the last stage that need no root and no earlier stage."""
    image, build = Image(root), Build(ROOT, TOLD)
    for step in stages(DOCKERFILE)[-1].steps:
        do = INSTRUCTIONS[step.instruction]
        if do is None:
            image.said[step.instruction] = step.rest
        elif step.instruction != "RUN" and "--from=" not in step.rest:
            do(image, step.rest, build)
    return image


def test_every_step_of_the_dockerfile_can_be_tried_without_an_engine() -> None:
    build, last = stages(DOCKERFILE)
    copied = [step.rest for step in last.steps if "--from=" in step.rest]

    assert build.name == "build"
    assert copied == ["--from=build /opt/cdr-exporter /opt/cdr-exporter"]
    assert all((ROOT / each).exists() for each in let_in((ROOT / ".dockerignore").read_text()))


@for_each(
    [
        pytest.param("FROM a\nADD x /y\n", id="a Dockerfile"),
        pytest.param("FROM a\nRUN one \\\n && two\nSHELL [sh]\n", id="after a line of two"),
    ]
)
def test_an_instruction_that_could_not_be_tried_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(ADD|SHELL): not known to try_image\.py$"):
        stages(text)


@for_each(
    [
        pytest.param("cdr_exporter\n", id="all but a few"),
        pytest.param("*\n!grafana\n*.json\n", id="a pattern"),
    ]
)
def test_what_is_sent_to_a_build_is_a_list_of_paths(text: str) -> None:
    with pytest.raises(ValueError, match=r"^\.dockerignore: of a kind not known"):
        let_in(text)


def test_the_image_says_who_made_it_and_writes_to_its_volume_only(tmp_path: Path) -> None:
    image = last_stage(tmp_path)

    assert set(TOLD.values()) < set(image.labels.values())
    assert image.user == "10088:10088"
    assert image.folder == image.env["TMPDIR"] == image.said["VOLUME"] == "/state"
    assert image.env["PATH"].startswith("/opt/cdr-exporter/bin:/usr/")


def test_the_demo_in_the_image_is_reached_from_outside_and_elsewhere_is_not(
    tmp_path: Path,
) -> None:
    image = last_stage(tmp_path)
    port = int(image.said["EXPOSE"])

    assert demo.listen_addresses((), image.env) == [ListenAddress("", port)]
    assert demo.listen_addresses(["127.0.0.1:1"], image.env) == [ListenAddress("127.0.0.1", 1)]
    assert demo.listen_addresses((), {}) == []
    assert parse_listen_address(f":{port}").is_wildcard


def test_the_image_checks_its_health_at_the_usual_port(tmp_path: Path) -> None:
    image = last_stage(tmp_path)
    _, _, command = image.said["HEALTHCHECK"].partition(" CMD ")
    found = image.path("/opt/cdr-exporter/bin/healthcheck.sh")

    assert command == '["healthcheck.sh"]'
    assert found.read_text() == HEALTH_CHECK.read_text()
    assert os.access(found, os.X_OK)
    assert image.env["CDR_EXPORTER_HEALTH_URL"] == "http://127.0.0.1:10088/-/healthy"


def health(url: str) -> bool:
    """Run the image's health check against *url* and return whether it is content."""
    done = subprocess.run(
        ["bash", HEALTH_CHECK],
        env={"PATH": os.environ["PATH"], "CDR_EXPORTER_HEALTH_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert done.stdout == b""
    return done.returncode == 0


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "ended"])
def test_the_health_check_is_content_while_the_pollers_live(alive: bool) -> None:
    server = Server(app(snapshot(), alive=lambda: alive), [ListenAddress("127.0.0.1", 0)])
    server.start()
    try:
        assert health(f"{server.addresses[0].url}-/healthy") is alive
    finally:
        server.stop()


def test_the_health_check_finds_nobody_at_a_closed_port_or_a_url_that_is_none() -> None:
    assert not health(f"http://127.0.0.1:{closed_port()}/-/healthy")
    assert not health("127.0.0.1:10088")


STATUSES = {"200 OK": True, "401 Unauthorized": True, "404 Not Found": False, "503 Busy": False}


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_the_health_check_takes_a_login_for_an_answer_and_nothing_else(
    tls: bool, tmp_path: Path
) -> None:
    answers = [say(ok(b"", status)) for status in STATUSES]
    context = certificate(tmp_path, "own").server if tls else None
    with Wire(*answers, tls=context) as wire:
        found = [health(f"{wire.url}/-/healthy") for _ in STATUSES]

    assert found == list(STATUSES.values())
    assert {request.split(b" ")[1] for request in wire.requests} == {b"/-/healthy"}
