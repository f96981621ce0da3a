"""Build the image and try it, on Debian as root and without a container engine.

    sudo python3 deploy/try_image.py

The Dockerfile is read and done step by step. In the place of its base image stands a Debian of the
release that this machine runs, unpacked from packages of the machine's own apt sources, with that
release's Python. A container is a `chroot` with namespaces of its own for mounts, processes and the
network, its root read-only and its volume an empty folder. So this shows whether the steps work,
whether what they make runs as its user with nothing else to write to, and what is reached from
outside. It does not show what is particular to the base image, to an engine, or to seccomp.

It needs the programs of util-linux, iproute2 and apt, 1 GB in TMPDIR, and a network for packages.
All that it makes is in one temporary directory, gone at the end. It prints a line for each thing
that it saw, and ends with 1 at the first that is not as it should be.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent

# What python:slim has of what the steps use; dependencies come with them.
PACKAGES = (
    *("base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dash", "libc-bin"),
    *("login", "passwd", "python-is-python3", "python3", "python3-pip", "python3-venv"),
)
OUTSIDE = "192.0.2.2"
"""An address of the container that is not on its loopback interface (kept for documentation)."""

PATIENCE_SECONDS = 60.0
REVISION = "0123456789abcdef0123456789abcdef01234567"

# Where the machine says how it reaches its package index.
_FOR_PIP = (
    *("etc/resolv.conf", "etc/hosts", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt"),
    *("root/.config/pip/pip.conf", "root/.pip/pip.conf"),
)
_ENVIRONMENT_FOR_PIP = re.compile(r"PIP_\w+|SSL_CERT_FILE|\w+_proxy", re.IGNORECASE)

_CONFIG = """\
state_dir: /state
start: all
poll_interval: 2s
pbxs:
  - name: hq
    base_url: http://127.0.0.1:8088
    client_id: simulated
    client_secret: simulated-secret
"""


class Step(NamedTuple):
    """One instruction of a Dockerfile, in capitals, and the rest of its lines as one."""

    instruction: str
    rest: str


class Stage(NamedTuple):
    """What follows one FROM; *name* is what `--from` calls it."""

    name: str
    steps: Sequence[Step]


class NotAsItShouldBe(Exception):
    """Something that was tried went wrong."""


def stages(text: str) -> Sequence[Stage]:
    """Return the stages of a Dockerfile; raises `ValueError` for an instruction not known here."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[tuple[str, list[Step]]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            _, *name = re.split(r"\s+AS\s+", rest)
            found.append((name[0] if name else "", []))
        elif instruction in INSTRUCTIONS:
            found[-1][1].append(Step(instruction, rest.strip()))
        else:
            raise ValueError(f"{instruction}: not known to {Path(__file__).name}")
    return [Stage(name, steps) for name, steps in found]


def let_in(text: str) -> Sequence[str]:
    """Return the paths that a .dockerignore lets in; raises `ValueError` where it says else."""
    first, *others = [line for line in text.splitlines() if line and not line.startswith("#")]
    known = [line for line in others if line.startswith("!") or line == "**/__pycache__"]
    if first != "*" or known != others:
        raise ValueError(f".dockerignore: of a kind not known to {Path(__file__).name}")
    return [line.removeprefix("!") for line in known if line.startswith("!")]


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """Return *text* with $NAME and ${NAME} in it replaced."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found[1], ""), text)


@dataclass
class Image:
    """What the steps of a stage make: files below *root*, and how a container of it is run."""

    root: Path
    env: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin"}
    )
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    said: dict[str, str] = field(default_factory=dict)
    """The rest of the last step of each instruction that changes no file."""

    def path(self, inside: str) -> Path:
        """Return where a path of the image is here."""
        return self.root / os.path.normpath(Path(self.folder) / inside).lstrip("/")


@dataclass
class Build:
    """A build under way: the files it may copy, what it is told, the stages that are done."""

    context: Path
    arguments: Mapping[str, str]
    done: dict[str, Image] = field(default_factory=dict)


def _arg(image: Image, rest: str, build: Build) -> None:
    name, _, default = rest.partition("=")
    image.arguments[name] = build.arguments.get(name, default)


def _copy(image: Image, rest: str, build: Build) -> None:
    words = rest.split()
    origin = build.context
    if words[0].startswith("--from="):
        origin = build.done[words.pop(0).removeprefix("--from=")].root
    *sources, target = words
    at = image.path(target)
    for source in (origin / each.lstrip("/") for each in sources):
        into_folder = source.is_dir() or len(sources) > 1 or target.endswith("/")
        (at if into_folder else at.parent).mkdir(parents=True, exist_ok=True)
        contents = f"{source}/." if source.is_dir() else str(source)
        subprocess.run(["cp", "-a", "--no-preserve=ownership", contents, at], check=True)


def _env(image: Image, rest: str, _build: Build) -> None:
    for each in shlex.split(rest):
        name, _, value = each.partition("=")
        image.env[name] = filled_in(value, image.env | image.arguments)


def _label(image: Image, rest: str, _build: Build) -> None:
    for each in shlex.split(rest):
        name, _, value = each.partition("=")
        image.labels[name] = filled_in(value, image.env | image.arguments)


def _run(image: Image, rest: str, _build: Build) -> None:
    names = [name for name in os.environ if _ENVIRONMENT_FOR_PIP.fullmatch(name)]
    environment = {name: os.environ[name] for name in names} | image.arguments | image.env
    inside = f"cd {shlex.quote(image.folder)} && {rest}"
    subprocess.run(["chroot", image.root, "/bin/sh", "-c", inside], env=environment, check=True)


def _user(image: Image, rest: str, _build: Build) -> None:
    image.user = rest


def _workdir(image: Image, rest: str, _build: Build) -> None:
    image.folder = rest
    image.path(".").mkdir(parents=True, exist_ok=True)


INSTRUCTIONS = {
    "ARG": _arg,
    "COPY": _copy,
    "ENV": _env,
    "LABEL": _label,
    "RUN": _run,
    "USER": _user,
    "WORKDIR": _workdir,
    "CMD": None,
    "ENTRYPOINT": None,
    "EXPOSE": None,
    "HEALTHCHECK": None,
    "STOPSIGNAL": None,
    "VOLUME": None,
}
"""What each instruction does; those with None are only remembered."""


def build_image(base: Path, build: Build, folder: Path) -> Image:
    """Do all steps of the Dockerfile on copies of *base*, in *folder*; return the last image."""
    image = Image(base)
    for number, stage in enumerate(stages((PROJECT / "Dockerfile").read_text())):
        image = Image(folder / f"stage{number}")
        subprocess.run(["cp", "-a", base, image.root], check=True)
        for step in stage.steps:
            do = INSTRUCTIONS[step.instruction]
            print(f"  {step.instruction} {step.rest[:90]}", flush=True)  # noqa: T201
            if do is None:
                image.said[step.instruction] = step.rest
            else:
                do(image, step.rest, build)
        build.done[stage.name] = image
    return image


def unpack_debian(root: Path, downloads: Path) -> None:
    """Make *root* the base image: packages unpacked, and what their scripts would have done."""
    downloads.mkdir()
    apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    asked = [*apt, "-o", "Dir::State::status=/dev/null", "--no-install-recommends", "--simulate"]
    planned = subprocess.run(
        [*asked, "install", *PACKAGES], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    names = re.findall(r"^Inst (\S+) ", planned, re.MULTILINE)
    subprocess.run([*apt, "download", *names], cwd=downloads, check=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in sorted(downloads.glob("*.deb")):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=-1) as reading:
            subprocess.run(
                ["tar", "--extract", "--keep-directory-symlink", "--directory", root],
                stdin=reading.stdout,
                check=True,
            )
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    # In the image of Python, pip installs where it likes.
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    for name in _FOR_PIP:
        if (Path("/") / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/") / name, root / name)
    for name in ("null", "zero", "urandom"):
        subprocess.run(["cp", "-a", f"/dev/{name}", root / "dev" / name], check=True)
    subprocess.run(["chroot", root, "ldconfig"], check=True)


def copy_context(context: Path) -> None:
    """Copy what `docker build` would be sent."""
    for name in let_in((PROJECT / ".dockerignore").read_text()):
        source, target = PROJECT / name, context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


class Container:
    """Programs that run out of the image, in the namespaces of this process."""

    def __init__(self, image: Image) -> None:
        self._image = image

    def command(self, *words: str, root: bool = False) -> Sequence[str]:
        """Return the command that runs *words* inside, as the image's user or as root."""
        image = self._image
        user = "0:0" if root else image.user
        settings = [f"{name}={value}" for name, value in image.env.items()]
        inside = f"cd {image.folder} && exec " + shlex.join(words)
        return [
            *("setpriv", "--no-new-privs", "chroot", f"--userspec={user}", "--groups="),
            *(str(image.root), "env", "-i", *settings, "sh", "-c", inside),
        ]

    def run(self, *words: str, root: bool = False) -> subprocess.CompletedProcess[str]:
        """Run *words* to their end."""
        return subprocess.run(
            self.command(*words, root=root),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the entrypoint with *arguments*, or with those of CMD, while the block runs."""
        entrypoint = json.loads(self._image.said["ENTRYPOINT"])
        words = [*entrypoint, *(arguments or json.loads(self._image.said["CMD"]))]
        with subprocess.Popen(self.command(*words)) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def well(self) -> bool:
        """Run the health check once."""
        words = json.loads(self._image.said["HEALTHCHECK"].partition(" CMD ")[2])
        return self.run(*words).returncode == 0


def isolate(image: Image, volume: Path) -> None:
    """Make the mounts and the network of a `docker run --read-only`; this process is apart."""
    root, state = image.root, image.path(image.said["VOLUME"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo"], check=True)
    # A new volume is what the image has in its place.
    subprocess.run(["cp", "-a", state, volume], check=True)
    mounts: Sequence[Sequence[Path | str]] = (
        ["--bind", root, root],
        ["--bind", volume, state],
        ["-t", "proc", "proc", root / "proc"],
        ["-o", "remount,bind,ro", root],
    )
    for options in mounts:
        subprocess.run(["mount", *options], check=True)


def seen(what: str, holds: object) -> None:
    """Print *what* was seen; raises `NotAsItShouldBe` if it does not hold."""
    if not holds:
        raise NotAsItShouldBe(what)
    print(f"ok: {what}", flush=True)  # noqa: T201


def page(path: str, wanted: str = "") -> str:
    """Return the page at *path*, asked for from outside, once *wanted* is in it."""
    end, text, problem = time.monotonic() + PATIENCE_SECONDS, "", ""
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://{OUTSIDE}:10088{path}", timeout=5) as answer:
                text = str(answer.read().decode())
        except OSError as error:
            problem = str(error)
        else:
            if wanted in text:
                return text
        time.sleep(0.2)
    raise NotAsItShouldBe(f"{path} with {wanted!r} ({problem or text[-500:]})")


def try_demo(container: Container, volume: Path) -> None:
    """Run `demo` as a newcomer does, and look at its pages."""
    with container.started("demo") as demo:
        seen("demo: the page is reached from outside", "berlin" in page("/", "berlin"))
        seen("demo: charts of a PBX", page("/pbx/berlin", "<rect"))
        seen("demo: calls on /metrics", page("/metrics", "\ncdr_calls_total{"))
        seen("demo: the health check is content", container.well())
        seen("demo: its files are in the volume", list(volume.iterdir()))
        demo.send_signal(signal.SIGTERM)
        seen("demo: SIGTERM ends it with 0", demo.wait(15) == 0)
    seen("demo: it leaves nothing behind", not list(volume.iterdir()))
    seen("without it the health check is not content", not container.well())


def try_run(container: Container, volume: Path) -> None:
    """Run `check` and `run` as one does with a PBX of one's own, here a simulated one."""
    checking = ["cdr-exporter", "check", "--config.file", "/etc/cdr-exporter/exporter.yml"]
    done = container.run(*checking)
    seen(f"check: {done.stdout.strip()}", done.returncode == 0)
    with container.started("simulate"):
        end = time.monotonic() + PATIENCE_SECONDS
        while (done := container.run(*checking, "--connect")).returncode:
            if time.monotonic() > end:
                raise NotAsItShouldBe(f"check --connect: {done.stdout}")
        seen("check --connect: it answers", "hq: answers" in done.stdout)
        with container.started() as run:
            text = page("/metrics", '\ncdr_up{pbx="hq"} 1')
            seen("run: it polls", text)
            seen("run: the revision that was built", f'revision="{REVISION}"' in text)
            seen("run: ready", page("/-/ready"))
            seen("run: the health check is content", container.well())
            run.send_signal(signal.SIGTERM)
            seen("run: SIGTERM ends it with 0", run.wait(15) == 0)
    kept = {path.name: path.stat() for path in volume.iterdir()}
    seen(f"run: its state is in the volume ({', '.join(sorted(kept))})", "hq.db" in kept)
    seen("run: for its user alone", all(each.st_mode & 0o077 == 0 for each in kept.values()))


def try_image(image: Image, folder: Path) -> None:
    """Try *image* in namespaces of our own; raises `NotAsItShouldBe`."""
    volume = folder / "volume"
    config = image.root / "etc/cdr-exporter/exporter.yml"
    config.parent.mkdir()
    config.write_text(_CONFIG)
    isolate(image, volume)
    container = Container(image)
    seen("labels: the revision", REVISION in image.labels.values())
    user = container.run("id", "-u", "-n").stdout.strip()
    seen(f"the user is {user} ({image.user})", user == "cdr")
    done = container.run("touch", "/written", root=True)
    seen("the root is read-only, even for root", "Read-only" in done.stdout)
    seen("there is no pip beside the program", not image.path("/opt/cdr-exporter/bin/pip").exists())
    done = container.run("cdr-exporter", "--version")
    seen(done.stdout.strip(), done.returncode == 0)
    asked = "import psycopg, psycopg_pool; print(psycopg.pq.version())"
    done = container.run("python", "-c", asked)
    seen(f"for state in a database: libpq {done.stdout.strip()}", done.returncode == 0)
    try_demo(container, volume)
    try_run(container, volume)


def in_namespaces(image: Image, folder: Path) -> int:
    """Run `try_image` in a process with namespaces of its own; return its exit code."""
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    described = json.dumps({**vars(image), "root": str(image.root)})
    command = [*unshare, sys.executable, __file__, described, str(folder)]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """Build the image and try it; return the exit code."""
    if len(sys.argv) > 1:
        described = json.loads(sys.argv[1])
        image = Image(**{**described, "root": Path(described["root"])})
        try:
            try_image(image, Path(sys.argv[2]))
        except NotAsItShouldBe as error:
            print(f"NOT as it should be: {error}", file=sys.stderr)  # noqa: T201
            return 1
        return 0
    if os.geteuid() != 0:
        sys.exit("needs root: chroot, mount")
    with tempfile.TemporaryDirectory(prefix="cdr-exporter-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        unpack_debian(folder / "base", folder / "packages")
        copy_context(folder / "context")
        build = Build(folder / "context", {"REVISION": REVISION, "VERSION": "0.0.0"})
        return in_namespaces(build_image(folder / "base", build, folder), folder)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
