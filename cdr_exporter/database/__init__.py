"""The PostgreSQL database of `state_url_file`: connections, transactions, and our schema in it.

It knows nothing of the states that are kept there. What can be refused comes out as
`DatabaseError`, in our own words: no URL, password, SQL or value is in any of its messages.

    url         state_url_file → the URL, and what is wrong with it
    documents   tokens and logins on record
    database    transactions, and a few connections that hundreds of threads share
    pool        the driver: connecting, lending, beginning, committing; alone imports psycopg
    failures    what the driver raises → our errors, a table
    schema      the tables: made at the first start, and checked at each

psycopg is an extra of this package. This room can be imported without it; `Database` then raises a
`ConfigError` that says how to install it.
"""

from .database import Database, Rows, TimeLimits, Transaction
from .documents import DatabaseDocuments
from .schema import check_schema, has_schema, prepare_schema
from .url import read_url

__all__ = [
    "Database",
    "DatabaseDocuments",
    "Rows",
    "TimeLimits",
    "Transaction",
    "check_schema",
    "has_schema",
    "prepare_schema",
    "read_url",
]
