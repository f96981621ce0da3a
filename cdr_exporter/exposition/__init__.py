"""Snapshots → the text of `/metrics`. What a scrape costs goes by what changed since the last.

Rule: lines are kept compressed, in pieces that can be put together in any order, each with its
checksum. What changed is compressed again, with the lines beside it in its piece, and the checksum
of the page is put together from those of the pieces; nothing else is read or written. The two text
formats share their pieces and differ in the headers only. The text equals, byte for byte, what
prometheus_client writes for the same families; a test compares them. Only what is about the process
itself is rendered anew for each scrape.

    cdr_records_total{call_type="Inbound",disposition="ANSWERED",pbx="hq",trunk="sip"} 7.0
    cdr_ring_duration_seconds_bucket{call_type="Inbound",disposition="ANSWERED",le="1.0",…} 2.0

    page          the page of all PBXs and that of one, shared by all scrapers
    rendered      what was rendered, and for how long it may be shown
    pages         the rows of blocks that a page has: all families, and their headers
    pbx_text      the text of one PBX, and which of it is visible at a given time
    family_text   the lines of one family of one PBX, in pieces or, where they are few, as text
    utc_offset    the UTC offset of a PBX, which changes with the clock alone
    lines         how a single line is written
    pieces        lines that are kept compressed
    measure       the checksum and length of texts that stand in a row
    body          the response to one scrape, plain or compressed
"""

from .body import Body
from .page import OPENMETRICS_TYPE, TEXT_TYPE, Exposition, ProcessValues

__all__ = ["OPENMETRICS_TYPE", "TEXT_TYPE", "Body", "Exposition", "ProcessValues"]
