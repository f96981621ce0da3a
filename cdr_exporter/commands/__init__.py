"""What the program can be asked to do: one module a command, and what they share.

    run          poll the PBXs and serve metrics
    check        validate the configuration, and see if the PBXs answer
    demo         a simulated PBX and the exporter of it
    simulate     the simulated PBX alone
    dashboards   write the bundled files

    exporter     the running exporter, for `run` and `demo`
    preflight    what the machine has to have before anything starts, for `run` and `check`
    flags        flags that several commands take
    stdout       standard output, for commands whose result it is

Each command has `add_arguments(parser)` and `run(args, stop)`, which returns an exit code; *stop*
is set by SIGTERM and SIGINT for those that have something to put in order.
"""
