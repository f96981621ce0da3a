"""What is counted: families as data, totals, and how rows and calls add to them. Pure.

    catalogue      every family: name, kind, help, labels, what exists at 0 from the start
    totals         the durable values of one PBX by label set: add, merge, nothing else
    row_metrics    how a page of new rows is counted
    call_metrics   how calls that are over are counted
    self_metrics   what the exporter says of itself, from the start of the process
    snapshot       what one PBX looks like from outside at one instant, frozen

A scrape sees a snapshot: the totals as they were committed last, and the exporter's own metrics.
"""
