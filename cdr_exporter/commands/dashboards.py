"""The command `dashboards`: write the bundled dashboards, rules, runbook and examples."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from .. import bundled
from ..web import check_external_url
from . import flags
from .stdout import write_stdout

MANUAL = """\
A running exporter serves the same files at /dashboards/, /rules/ and /runbook.

Files:
  DIR/dashboards/*.json   for Grafana: import them, or provision the directory
  DIR/rules/*.yml         for rule_files of Prometheus
  DIR/RUNBOOK.md          what to do about each alert
  DIR/examples/*.yml      exporter.yml with all settings, prometheus.yml, alertmanager.yml

Exit codes:
  0  written
  1  a file, or standard output, cannot be written
  2  bad arguments

Examples:
  cdr-exporter dashboards --output /var/lib/cdr-exporter
  cdr-exporter dashboards --output . --external-url http://exporter.example.org:10088
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `dashboards`."""
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory to write to; created if missing, files of the same name are replaced",
    )
    parser.add_argument(
        "--external-url",
        dest="external_url",
        metavar="URL",
        help="where a browser reaches the exporter: then the runbook links of the rules open its "
        "/runbook at their alert (without it they are paths in the project)",
    )
    flags.add_manual(parser, MANUAL)


def run(args: argparse.Namespace, _stop: threading.Event) -> int:
    """Write the files and print the path of each.

    Raises `ConfigError` where the URL is none, `FileWriteError` and `StdoutError`.
    """
    if args.external_url is not None:
        check_external_url(args.external_url, "--external-url")
    for path in bundled.write_files(args.output, args.external_url):
        write_stdout(f"{path}\n")
    return 0
