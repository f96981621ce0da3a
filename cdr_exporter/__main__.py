"""`python -m cdr_exporter` is `cdr-exporter`."""

from __future__ import annotations

import sys

from . import cli


def main() -> None:
    """Run the program and exit with its code."""
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
