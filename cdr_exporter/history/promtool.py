"""promtool: makes a block out of text."""

from __future__ import annotations

from pathlib import Path

from .. import programs

TIMEOUT_SECONDS = 600.0
"""For one block; it takes about a second."""


def find() -> str | None:
    """Return the path of promtool, None where it is not installed."""
    return programs.find("promtool")


def command(promtool: str, text: Path, directory: Path, block_seconds: int) -> list[str]:
    """Return the command that makes blocks of *block_seconds* in *directory* out of *text*."""
    make = [promtool, "tsdb", "create-blocks-from", "openmetrics"]
    return [*make, f"--max-block-duration={block_seconds}s", str(text), str(directory)]


def create_block(promtool: str, text: Path, directory: Path, block_seconds: int) -> None:
    """Make a block in *directory* out of the file *text*; raises `ProgramError`."""
    programs.run(command(promtool, text, directory, block_seconds), TIMEOUT_SECONDS)
