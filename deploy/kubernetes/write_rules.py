"""Writes the rules as PrometheusRule objects, for the Prometheus operator.

    python -m deploy.kubernetes.write_rules [URL]

URL is where a browser reaches the exporter; then the runbook links of the rules lead there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cdr_exporter import bundled

TARGET = Path(__file__).parent / "base" / "prometheusrules.yaml"

_HEAD = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: cdr-exporter
spec:
"""


def main() -> None:
    """Write the file."""
    external_url = sys.argv[1] if len(sys.argv) > 1 else None
    TARGET.write_text(objects(external_url))


def objects(external_url: str | None = None) -> str:
    """Return one object for each rule file, with its comments."""
    documents = (
        _HEAD.format(name=name.removesuffix(".yml")) + "".join(_indented(content.decode()))
        for name, content in bundled.rules(external_url).items()
    )
    return "# Written by `make kubernetes` from prometheus/rules.\n---\n" + "---\n".join(documents)


def _indented(text: str) -> Iterator[str]:
    for line in text.splitlines(keepends=True):
        yield f"  {line}" if line.strip() else line


if __name__ == "__main__":
    main()
