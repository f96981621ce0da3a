"""Other programs: run to their end, or kept running. The only place where one is started.

Rule: each is started by its path and a list of arguments, without a shell, and ended by its own
process id.
"""

from __future__ import annotations

import ctypes
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from .errors import ExporterError

_LONGEST_SAID = 200
"""Characters of what a program said that go into an error."""

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when the thread that started it ends."""


class ProgramError(ExporterError):
    """A program could not be started, or failed: exit 1; the message has what it said last."""


def find(name: str) -> str | None:
    """Return the path of the program *name*, None where it is not installed."""
    return shutil.which(name)


def run(command: Sequence[str], timeout_seconds: float) -> None:
    """Run *command* to its end; raises `ProgramError`."""
    try:
        done = subprocess.run(  # noqa: S603 (a list of arguments, and no shell)
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
            # Ctrl-C is for this program, which ends once the other one is done.
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = getattr(error, "strerror", None) or f"no end after {timeout_seconds:.0f} s"
    else:
        if done.returncode == 0:
            return
        problem = _said_last(done.stderr or done.stdout) or f"exit code {done.returncode}"
    raise ProgramError(f"{command[0]}: {problem}")


class Running:
    """*command* from now on until `stop`; what it writes is kept in the file *output*.

    Ctrl-C in the terminal does not reach it, so that it is ended once, by us. On Linux it ends as
    well when this process is killed; create it in a thread that lives as long as it shall.
    Raises `ProgramError` where it cannot be started.
    """

    def __init__(self, command: Sequence[str], output: Path) -> None:
        self._name = Path(command[0]).name
        self._output = output
        try:
            with output.open("wb") as file:
                self._process = subprocess.Popen(  # noqa: S603 (a list of arguments, and no shell)
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=_ends_with_its_parent if sys.platform == "linux" else None,
                )
        except (OSError, subprocess.SubprocessError) as error:
            problem = getattr(error, "strerror", None) or "it cannot be started"
            raise ProgramError(f"{command[0]}: {problem}") from None

    def check(self) -> None:
        """Raise `ProgramError` if it has ended by itself."""
        code = self._process.poll()
        if code is not None:
            said = _said_last(self._output.read_bytes()) or "it said nothing"
            raise ProgramError(f"{self._name} has ended by itself (exit code {code}): {said}")

    def set_when_ended(self, event: threading.Event) -> None:
        """Set *event* once it has ended, however that comes."""

        def wait() -> None:
            self._process.wait()
            event.set()

        threading.Thread(target=wait, name=f"wait-for-{self._name}", daemon=True).start()

    def stop(self, patience_seconds: float) -> None:
        """End it: by SIGTERM, or by SIGKILL where that takes longer than *patience_seconds*."""
        self._process.terminate()
        try:
            self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _ends_with_its_parent() -> None:
    """Ask the kernel for SIGTERM when the parent ends; runs in the new process, so does no more."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _said_last(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][-_LONGEST_SAID:] if lines else ""
