"""How far a long work is, as it is shown."""

from __future__ import annotations

import io
import sys

import pytest

from cdr_exporter.commands.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "written"),
    [
        pytest.param(Terminal(), "\rhq: 1,000 rows read\r2 of 3 blocks      \n", id="terminal"),
        pytest.param(io.StringIO(), "", id="file"),
    ],
)
def test_progress_is_one_line_on_a_terminal_and_nothing_elsewhere(
    stream: io.StringIO, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    progress = Progress()
    progress.note("hq: 1,000 rows read")
    progress.note("2 of 3 blocks")
    progress.end()

    assert stream.getvalue() == written
