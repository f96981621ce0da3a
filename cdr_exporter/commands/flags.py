"""Flags that several commands take, named in the style of Prometheus."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .. import logs
from ..errors import ConfigError
from ..settings import Settings

DEFAULT_CONFIG = "exporter.yml"
_MOST_NAMED = 12


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


def add_pbx(parser: argparse.ArgumentParser) -> None:
    """Add `--pbx`, for `chosen_pbxs`."""
    parser.add_argument(
        "--pbx",
        action="append",
        metavar="NAME",
        help="only this PBX of the configuration; may be repeated",
    )


def chosen_pbxs(settings: Settings, names: Sequence[str] | None) -> Settings:
    """Return *settings* with the PBXs called *names* only; None leaves all."""
    if names is None:
        return settings
    unknown = set(names) - {pbx.name for pbx in settings.pbxs}
    if unknown:
        known = ", ".join(pbx.name for pbx in settings.pbxs[:_MOST_NAMED])
        raise ConfigError(f"--pbx: no PBX of the configuration has that name; it has {known}")
    return replace(settings, pbxs=tuple(pbx for pbx in settings.pbxs if pbx.name in names))


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
