"""Snapshots → the text of `/metrics`, rendered when something changed and not per scrape.

Rule: a line is written once and kept until its number changes; the two text formats share lines
and differ in headers only. What prometheus_client would write for the same families is what we
write, to the byte (a test holds it). Only `process_*` and `python_info` are made per scrape.

    cdr_records_total{call_type="Inbound",disposition="ANSWERED",pbx="hq",trunk="sip"} 7.0
    cdr_ring_duration_seconds_bucket{call_type="Inbound",disposition="ANSWERED",le="1.0",…} 2.0

    page        whole pages for any number of scrapers
    pbx_text    the blocks of lines of one PBX, and what of it is seen at an instant
    offset      the UTC offset of a PBX, which changes by the clock alone
    lines       how a line is written
    body        what one scrape gets, plain or compressed
"""

from .body import Body
from .page import OPENMETRICS_TYPE, TEXT_TYPE, Exposition

__all__ = ["OPENMETRICS_TYPE", "TEXT_TYPE", "Body", "Exposition"]
