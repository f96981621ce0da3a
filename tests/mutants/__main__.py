"""The runner: `python -m tests.mutants [WORD ...]`, those whose name or file has one of the words.

Each worker has a copy of the tree and puts one bug at a time into it, so nothing here is touched.
First the tests must pass as the tree is: otherwise every bug would seem to be found. Exit code 1:
a bug survived, or could not be tried.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from . import MUTANTS, ROOT, Mutant

COPIED = (
    *("cdr_exporter", "pbx_simulator", "tests", "prometheus", "grafana"),
    *("exporter.yml", "pyproject.toml"),
)
PATIENCE = 180.0
"""Seconds for the tests of one bug. What hangs for so long is found too, if slowly."""

FOUND, SURVIVED = "found", "SURVIVED"

_PASSED, _FAILED, _INTERRUPTED = 0, 1, 2
"""pytest's exit codes; it is interrupted where a module cannot be imported any more."""

_VERDICTS = {_PASSED: SURVIVED, _FAILED: FOUND, _INTERRUPTED: FOUND}


def main(words: Sequence[str]) -> int:
    """Try the mutants that *words* pick, all without any, and say what became of each."""
    chosen = [each for each in MUTANTS if not words or _is_meant(each, words)]
    if not chosen:
        say("no such mutant")
        return 1
    workers = min(os.cpu_count() or 1, len(chosen))
    with tempfile.TemporaryDirectory() as directory:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            trees.put(copied(Path(directory) / str(number)))
        with held(trees) as tree:
            code, output = tested(tree, sorted({test for each in chosen for test in each.tests}))
        if code != _PASSED:
            say(f"the tests do not pass as the tree is:\n{output}")
            return 1
        with ThreadPoolExecutor(workers) as pool:
            verdicts = list(pool.map(lambda each: told(each, trees), chosen))
    found = verdicts.count(FOUND)
    say(f"{found} of {len(chosen)} found")
    return 0 if found == len(chosen) else 1


def copied(tree: Path) -> Path:
    """Make a copy of what tests need at *tree*, and return it."""
    tree.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, tree / name)
    return tree


@contextmanager
def held(trees: SimpleQueue[Path]) -> Iterator[Path]:
    """Have a tree of one's own for a while."""
    tree = trees.get()
    try:
        yield tree
    finally:
        trees.put(tree)


def told(mutant: Mutant, trees: SimpleQueue[Path]) -> str:
    """Try *mutant*, say at once what became of it, and return that."""
    began = time.monotonic()
    with held(trees) as tree:
        verdict = tried(mutant, tree)
    say(f"{verdict:8} {time.monotonic() - began:5.1f} s  {mutant.file}: {mutant.name}")
    return verdict


def tried(mutant: Mutant, tree: Path) -> str:
    """Put *mutant* into *tree* for as long as its tests run."""
    path = tree / mutant.file
    text = path.read_text()
    try:
        path.write_text(mutant.applied(text))
        code, output = tested(tree, mutant.tests)
    except LookupError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return FOUND
    finally:
        path.write_text(text)
    return _VERDICTS.get(code, f"pytest ended with {code}:\n{output}\n")


def tested(tree: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Run *tests* in *tree* up to the first failure; return pytest's exit code and its output."""
    options = ("-x", "-q", "-p", "no:cacheprovider", "--no-header")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=tree,  # comes first in the module path, before any installed package
        # A bug may leave size and second of its file the same: no bytecode is to outlive it.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout[-2000:]


def say(line: str) -> None:
    """Print one line at once."""
    print(line, flush=True)  # noqa: T201 - what a runner is for


def _is_meant(mutant: Mutant, words: Iterable[str]) -> bool:
    return any(word in f"{mutant.file}: {mutant.name}" for word in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
