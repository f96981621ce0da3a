"""Fuzz one target with atheris: `python -m tests.fuzz answer -max_total_time=900`.

The arguments behind the target are libFuzzer's. Inputs that reach new code are kept in
`.fuzz/TARGET`, and what breaks a promise in `.fuzz/crash-…`; to try that one alone, name the file.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
KEPT = Path(".fuzz")


def main(target: str, *options: str) -> None:
    """Run until an input breaks a promise, or as long as *options* say."""
    # No package of the extra `dev`: only who fuzzes needs it.
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["cdr_exporter"]):
        targets: Any = importlib.import_module("tests.fuzz.targets")
    targets.WHOLE_PAGES = False
    logging.disable()
    kept = KEPT / target
    kept.mkdir(parents=True, exist_ok=True)
    files = [option for option in options if not option.startswith("-")]
    where = files or [str(kept), str(CORPUS / target)]
    flags = [option for option in options if option.startswith("-")]
    words = f"-dict={CORPUS.parent / target}.dict"
    defaults = [words, f"-artifact_prefix={KEPT}{os.sep}", "-max_len=4096", "-timeout=20"]
    atheris.Setup([sys.argv[0], *defaults, *flags, *where], targets.TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
