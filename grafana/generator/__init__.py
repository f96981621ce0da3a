"""Generates the Grafana dashboards from tables of panels.

Rule: the files `dashboards/*.json` are generated and never edited by hand. A test fails if they
differ from what this package generates; `make dashboards` writes them.

    calls_overview, trunks, legs, health    one dashboard each: its panels and their queries
    panels       the kinds of panels, as Grafana's JSON
    promql       building blocks of queries
    styles       the colour and the text of each value and series
    dashboard    a dashboard: its variables, its links and the grid of its panels
"""
