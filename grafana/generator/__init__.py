"""What the Grafana dashboards are made of: tables of panels, and one function that lays them out.

Rule: `dashboards/*.json` are made from here and never edited by hand; a test holds them current.

    calls_overview, trunks, legs, health    one dashboard each: its panels and their queries
    panels       the kinds of panels, as Grafana's JSON
    promql       how a query is written, and what it leaves out
    styles       what stands for what: names, colours, and their order
    dashboard    variables, links and the grid

`make dashboards` writes the files anew.
"""
