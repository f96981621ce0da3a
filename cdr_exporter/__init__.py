"""Prometheus exporter for the call detail records (CDRs) of Yeastar P-Series phone systems.

One PBX is one poller, one state, one state file, one thread. One poll of it:

    first page → is it the table we know? → (page → new state → commit → publish)* → wait

The way of a page, room by room:

    pbx.fetch → cdr.decode → ledger.judge → calls.judge → metrics.count → store.commit
        → snapshot → exposition → web

Rooms by floor, the highest first. A room imports from lower floors only, and rooms of one floor
do not know each other. Each outside library has one room that imports it, its door. A room that
is pure does no I/O and reads no clock. A test reads this table and holds it.

    10  __main__    `python -m cdr_exporter`
     9  cli         arguments, signals, exit codes
     8  commands    what each command does; what the machine must have; door to shtab
     7  history     what the PBXs still hold of the past → blocks for Prometheus
     7  poller      one PBX's thread: follow, back off, start again; the newest snapshots
     6  tail        which page to read next, and is it the table we know
     6  web         HTTP: paths, pages, TLS and logins; door to h11, bcrypt
     5  exposition  snapshots → text; door to prometheus_client
     5  leases      which replica polls which PBX, where several share one database
     5  store       state kept, never half-written; door to sqlite3
     4  database    PostgreSQL: connections, transactions, the schema; door to psycopg, psycopg_pool
     4  config      exporter.yml and web.yml → settings; door to yaml
     4  ingest      the state of a PBX, and what a judged page makes of it; pure
     3  metrics     families as data, totals, counts of rows and calls, snapshots; pure
     3  pbx         the Open API: tokens, requests, failures; door to requests, urllib3
     2  bundled     dashboards, rules, runbook, examples: what travels in the wheel
     2  calls       legs → calls; pure
     2  ledger      which rows are new; pure
     2  programs    other programs, run to their end or kept running; door to subprocess
     2  settings    what a user may decide: each setting declared once, with its default and text
     1  cdr         the vendor's contract, and a record in our words; pure
     1  clock       the time, and waiting
     1  errors      what can go wrong, by what to do about it; pure
     1  logs        log lines, bounded and without secrets
     1  state_files names of the files in state_dir, and how they are opened and locked
     1  small_files small files that a user names, read within bounds
     1  secret      text that is never shown; pure
"""
