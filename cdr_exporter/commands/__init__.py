"""The commands of the program: one module for each, and modules that they share.

    run          poll the PBXs and serve metrics
    check        validate the configuration, and say what the PBXs answer
    history      write the past that the PBXs still hold, for Prometheus
    demo         run a simulated PBX and an exporter that polls it
    simulate     run the simulated PBX alone
    dashboards   write the bundled files into a directory
    completion   write a script that completes commands in a shell

    exporter     the exporter with all its parts, for `run` and `demo`
    fleet        the pollers of all PBXs of the configuration, or of those that a replica holds
    leased_fleet     these: begun and ended with the leases
    replica          what a replica needs of the database
    preflight    checks of the machine before anything starts, for `run`, `check` and `demo`
    newest_rows  which page of a PBX shows its newest rows, for `check`
    preview      how these would be counted; and preview_text says it in words
    flags        flags that several commands take
    stdout       writes to standard output, for commands whose result goes there

Each command has `add_arguments(parser)` and `run(args, stop)`, which returns an exit code. SIGTERM
and SIGINT set *stop* for the commands that have to clean up before they end; `cli` says which.
"""
