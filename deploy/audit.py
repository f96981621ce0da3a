"""Ask for known vulnerabilities of what the image installs: `make audit`.

Exit codes: 0 none is known; 1 there are some; 2 nobody could be asked, or not about everything.
pip-audit itself says that nothing is known where it could ask nobody.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
PATIENCE = 300.0


def main(requirements: list[str]) -> int:
    """Print what is known about each requirement, and return the exit code."""
    report = asked(requirements or [str(ROOT / "deploy" / "requirements.txt")])
    if report is None:
        return tell("could not ask for vulnerabilities; what pip-audit said stands above", 2)
    return judged(report["dependencies"])


def asked(requirements: list[str]) -> dict[str, Any] | None:
    """Return pip-audit's report, None where it made none."""
    with TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        files = [f"--requirement={path}" for path in requirements]
        output = ("--format=json", f"--output={report}", "--progress-spinner=off")
        command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip"]
        try:
            subprocess.run([*command, *output, *files], timeout=PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        found: dict[str, Any] | None = json.loads(report.read_text()) if report.exists() else None
        return found


def judged(dependencies: list[dict[str, Any]]) -> int:
    """Print what is known of *dependencies*, and return the exit code."""
    skipped = [each["name"] for each in dependencies if "skip_reason" in each]
    known = [each for each in dependencies if each.get("vulns")]
    for each in known:
        ids = ", ".join(vulnerability["id"] for vulnerability in each["vulns"])
        tell(f"{each['name']} {each['version']}: {ids}")
    if known:
        return tell(f"{len(known)} of {len(dependencies)} packages have known vulnerabilities", 1)
    if skipped or not dependencies:
        some = f"{len(skipped)} of {len(dependencies)}"
        return tell(f"could not ask about {some} packages: {', '.join(skipped)}", 2)
    return tell(f"no vulnerability is known of {len(dependencies)} packages")


def tell(line: str, code: int = 0) -> int:
    """Print *line* and return *code*."""
    print(line, flush=True)  # noqa: T201 - what a script is for
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
