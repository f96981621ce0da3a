"""promtool: makes a block out of text. The only place where this program starts another one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ..errors import ExporterError

TIMEOUT_SECONDS = 600.0
"""For one block; it takes about a second."""

_LONGEST_SAID = 200
"""Characters of what promtool said that go into an error."""


class PromtoolError(ExporterError):
    """promtool made no block: exit 1; the message has what it said last."""


def find() -> str | None:
    """Return the path of promtool, None where it is not installed."""
    return shutil.which("promtool")


def command(promtool: str, text: Path, directory: Path) -> list[str]:
    """Return the command that makes blocks in *directory* out of the file *text*."""
    return [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(directory)]


def create_block(promtool: str, text: Path, directory: Path) -> None:
    """Make a block in *directory* out of the file *text*; raises `PromtoolError`."""
    try:
        done = subprocess.run(  # noqa: S603 (a list of arguments, and no shell)
            command(promtool, text, directory),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            # Ctrl-C is for this program, which ends once the block is there.
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = getattr(error, "strerror", None) or f"no end after {TIMEOUT_SECONDS:.0f} s"
    else:
        if done.returncode == 0:
            return
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        problem = said[-1][-_LONGEST_SAID:] if said else f"exit code {done.returncode}"
    raise PromtoolError(f"{promtool}: {problem}")
