"""Flags that several commands take, named in the style of Prometheus."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import logs

DEFAULT_CONFIG = "exporter.yml"


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `--config.file`."""
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        default=Path(DEFAULT_CONFIG),
        metavar="FILE",
        help="the configuration file (%(default)s)",
    )


def add_listen_address(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--web.listen-address` with the help *text*."""
    parser.add_argument(
        "--web.listen-address", dest="listen_address", action="append", metavar="ADDR", help=text
    )


def add_manual(parser: argparse.ArgumentParser, text: str) -> None:
    """Let the help end with *text*, in its own lines: files, exit codes, examples."""
    parser.epilog = text
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def add_log(parser: argparse.ArgumentParser, level: str = "info") -> None:
    """Add `--log.level`, whose default is *level*, and `--log.format`."""
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=tuple(logs.LEVELS),
        default=level,
        help="log events of this level and above (%(default)s)",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=tuple(logs.FORMATS),
        default="logfmt",
        help="format of the log lines (%(default)s)",
    )
