"""Where the checkout lies, and what several tests read of it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

PRINTED_ANSWER = ROOT / "tests" / "cdr" / "data" / "query-cdr-list-response.txt"
"""The CDR list as the vendor's documentation prints it."""
