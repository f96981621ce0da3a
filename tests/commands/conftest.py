"""What holds for tests of commands."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

LIBRARIES = ("urllib3", "requests", "asyncio")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command that runs in this process sets up for the whole of it."""
    loggers = [logging.getLogger(), *map(logging.getLogger, LIBRARIES)]
    levels, handlers = [each.level for each in loggers], loggers[0].handlers[:]
    yield
    logging.captureWarnings(False)
    loggers[0].handlers[:] = handlers
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)
