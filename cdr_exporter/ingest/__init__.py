"""A judged page is counted as rows and as calls, committed with its ledger, and shown.

call_assembly   the legs of a page become calls, and calls that are over are counted
visibility      when the call families of a PBX are shown, and when a label set is born
pbx_state       one commit a page: ledger, totals and open calls together
"""
