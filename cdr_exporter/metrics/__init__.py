"""What is counted: families as data, totals, and how rows and calls add to them. Pure.

    catalogue      every family: name, kind, help, labels, which series exist at 0 from the start
    totals         the durable values of one PBX, by series
    new_values     what is known of series, and what a page adds
    row_metrics    what a page of new rows adds to the totals
    call_metrics   what calls that are over add to the totals
    quarters       calls by the quarter of an hour in which they started, for the exporter's pages
    self_metrics   metrics about the exporter itself, from the start of the process
    snapshot       the metrics of one PBX at one instant, frozen: what a scrape sees

A snapshot holds the totals as they were committed last, and the metrics about the exporter.
"""
