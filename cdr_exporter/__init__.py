"""Prometheus exporter for the call detail records (CDRs) of Yeastar P-Series phone systems.

The way of the data, one PBX at a time:

    pbx.fetch → record.decode → paging.page_of → ledger.judge → counting.add (+ calls.judge)
        → store.commit → snapshot → exposition → web

One PBX is one poller, one ledger, one tally, one state file, one thread.

The floors; a module imports from lower ones only (a test holds it), and floors 0 to 2 do no I/O
and read no clock:

    0 facts        contract reactions errors secret settings durations record order catalogue
    1 arithmetic   labels tally counting call_counting paging ending ledger calls walk backoff
                   negotiation
    2 view         snapshot vitals showing settling
    3 edges        config pbx store exposition clock logs bundled landing simulator output
    4 joins        reader books joining orders tail poller supervisor web surroundings
    5 main         program check demo cli

Each outside thing has one door: `requests` only in `pbx`, `yaml` only in `config`,
`prometheus_client` only in `exposition`, SQLite only in `store`, `waitress` only in `web`. The
simulator imports nothing of ours, so that it can judge us.
"""
