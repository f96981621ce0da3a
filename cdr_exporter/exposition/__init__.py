"""Snapshots → the text of `/metrics`, rendered when something changed and not for each scrape.

Rule: a line is written once and reused until its number changes; the two text formats share their
lines and differ in the headers only. The text equals, byte for byte, what prometheus_client writes
for the same families; a test compares them. Only what is about
the process itself is rendered anew for each scrape.

    cdr_records_total{call_type="Inbound",disposition="ANSWERED",pbx="hq",trunk="sip"} 7.0
    cdr_ring_duration_seconds_bucket{call_type="Inbound",disposition="ANSWERED",le="1.0",…} 2.0

    page          whole pages, of all PBXs or of one, shared by all scrapers
    pbx_text      the lines of one PBX, and which of them are visible at a given time
    utc_offset    the UTC offset of a PBX, which changes with the clock alone
    lines         how a single line is written
    body          the response to one scrape, plain or compressed
"""

from .body import Body
from .page import OPENMETRICS_TYPE, TEXT_TYPE, Exposition, ProcessValues

__all__ = ["OPENMETRICS_TYPE", "TEXT_TYPE", "Body", "Exposition", "ProcessValues"]
