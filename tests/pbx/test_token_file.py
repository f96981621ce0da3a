"""The token file where its directory is deleted; what is in it is tested with the client."""

from __future__ import annotations

import shutil
import stat
import threading
from pathlib import Path

import pytest

from cdr_exporter.pbx import FileDocuments
from cdr_exporter.pbx.token_document import TokenDocument
from cdr_exporter.pbx.token_rules import TokenState


@pytest.mark.fault("E16")
def test_a_directory_that_was_deleted_is_made_again_with_the_next_login(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    file = TokenDocument(FileDocuments(directory), "hq.token", "account")
    never = threading.Event()
    for _ in range(2):
        with file.locked(60.0, 1.0, never):
            found = file.read(now=1000.0)
            file.write(TokenState(account="account", logins=(1000.0,)))
        with file.locked(60.0, 1.0, never):
            kept = file.read(now=1000.0)

        assert (found.logins, kept.logins) == ((), (1000.0,))
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        shutil.rmtree(directory)
