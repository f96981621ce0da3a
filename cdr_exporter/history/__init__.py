"""The past that the PBXs still hold, as blocks for Prometheus.

Rule: rows are judged, assembled to calls, counted and written as lines by the code that does it
live. What is here decides only until when, at which times, and into which files.

    past      the whole way: from the flags to blocks
    seam      until when: never two sources in one series at one time; pure
    reading   what a PBX still has → legs in a file; goes on after a kill
    counting  legs → what each series shows at which time
    grid      at which times samples stand; pure
    text      a block of samples as OpenMetrics text; pure
    folder    the folder of the blocks, and what is kept in it to go on
    promtool  makes a block of text
"""

from .past import Asked, Machine, Result, write_past

__all__ = ["Asked", "Machine", "Result", "write_past"]
