"""A simulated PBX: the CDR part of the Open API of a Yeastar P-Series, with a made-up office.

For tests, demos and trying things out: `python -m pbx_simulator`, `cdr-exporter simulate`, or in
the same process

    pbx = SimulatedPBX(OfficeSettings(seed=5), days=30)
    with serving.serve(pbx, live=True) as server:  # server.base_url
        pbx.office.whole_calls(10, "queue-abandoned")
        pbx.faults.fail_next(errcode=10004)

Rule: it imports nothing of the exporter (a test holds that), so that its reading of the contract
can be compared with the exporter's. What a correct reader must have counted is in `pbx.expected`.

The modules, from the lowest floor up; each imports from lower floors only (a test holds that):

    0  rows             one row of the CDR list, and the labels it is counted under
    0  scenarios        what can happen in a call: its legs, and its declared outcome
    0  directory        the office's extensions, trunks, queues and numbers, all made up
    0  http_messages    requests, replies, and the API's error messages
    0  malformed_pages  pages that break the contract
    0  background       repeats something in a thread
    0  checks           checks of arguments
    0  locking          the type of the lock that all parts share
    1  truth            calls with what truly happened in them
    1  firmware         newer firmware: two tables, rows without id
    1  added_fields     the fields that newer firmware adds to each row
    1  malformed_rows   rows that break the contract
    1  fault_queue      faults that wait for the requests they happen to
    1  request_fault    a fault of any one request
    1  request_log      what was asked
    1  token_issuer     tokens, their limit, blocked addresses
    2  table            the rows, and pages of them in any order
    2  call_writing     a call as firmware and settings write it
    2  call_drawing     draws one call at random, from a scenario
    2  leg_visibility   when the legs of a call become rows
    2  pbx_clock        the clock of the PBX, which can be wrong
    2  http_server      HTTP and TLS
    3  traffic          when the office telephones
    3  maintenance      deletions, clean-up, backups, resets, upgrade, clock
    3  expected_counts  what a correct reader must have counted
    3  listing_faults   what is to go wrong with `cdr/list`, as data
    4  examples         a row written by hand, completed
    4  listing          the answer to `cdr/list`
    5  office           makes calls and writes their rows
    5  api              the answer to any request to the Open API
    6  faults           lets answers go wrong
    7  pbx              the parts put together
    8  control          the control path, `POST /control/COMMAND`
    9  serving          the PBX over HTTP, with or without the control path
    10 command_line     arguments, exit codes

A call of the office is made from a scenario and has one row for each of its legs. Rows written by
hand (`Office.call`) belong to no call that is counted.

The firmware is an old one, with an `id` in every row, unless an `Upgrade` is given. Newer firmware
(x.21.0.117 and later) has two tables, and writes and sends rows as a live PBX of 37.23 was seen
to: `new_id` in place of `id` and `reason`; names and numbers apart, `call_id`, `did` and call
notes, blank where there is nothing to say; a port in `src_addr`; the same times and recording in
the rows of a queue and of its agent.

Not imitated: the speed and the load limits of a real PBX, conferences of several people, call
parking, pickup, paging, fax, the numbering of `call_id`, and all endpoints but `get_token`,
`refresh_token`, `del_token` and `cdr/list`. What the vendor's documentation leaves open is
decided in the module concerned, under "Assumed", or is an option, under "Unknown".
"""

from .office import OfficeSettings
from .pbx import APISettings, SimulatedPBX

__all__ = ["APISettings", "OfficeSettings", "SimulatedPBX"]
