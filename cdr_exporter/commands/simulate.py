"""The command `simulate`: run the simulated PBX alone."""

from __future__ import annotations

from pbx_simulator.command_line import add_arguments, run

__all__ = ["add_arguments", "run"]
