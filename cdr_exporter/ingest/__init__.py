"""A judged page is counted as rows and as calls, committed with its ledger, and published.

Rule: one page, one commit, one publication, in this order. The process may be killed between any
two statements: what was committed is counted once, what was not is read again.

    ledger.judge ─► PBXState.apply_page
                      which calls are over now?        call_assembly, calls
                      what do rows and calls add?      metrics
                      store.commit                     ledger, totals and calls together
                      on_commit                        the poller publishes the new totals

A page that changes nothing in the ledger is neither committed nor published. At the end of a poll
that read every new row, the calls that are over are committed too, and so is what passing time
has changed about births.

What is shown when
------------------
After a start, and after the PBX was silent for `stale_after`, our totals lack all rows that ended
meanwhile. If they were shown while they catch up, a rate would spike. So the series of rows and
calls are hidden then. They are shown again after a poll that left no range unread, and that, after
a start, has read every range once in which late rows may turn up. Metrics about the exporter
itself are never hidden.

Prometheus sees a rise only between two scrapes. So a series that is new while the others are
shown is shown at 0 for `birth_hold`, and then at its value. A series that is new while they are
hidden is *born* when it is first shown.

A baseline
----------
A baseline is the first read of a whole table, with `start: all`: rows from before the program
ever ran. To show them as a rise from 0 would be a rise that never happened. So the series appear
at their full value when the baseline is complete, with all calls that are over by then.

    pbx_state       the state of one PBX, and how a page changes it
    call_assembly   which legs a page brings, and which calls are over
    visibility      whether the series are shown, and when each of them was born
"""
