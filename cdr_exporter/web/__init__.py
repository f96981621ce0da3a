"""HTTP: the responses for scrapers, for people and for Prometheus' service discovery.

Rule: a response is made from snapshots and from files read at the start. Nothing here waits for a
PBX, a disk or another client, and nothing that a client sends becomes a file path, a log line or
part of a page.

    listen.bind → Server → Connection → a worker thread: App → a handler → HTTPResponse

    listen       listen addresses, and the sockets bound to them
    server       the event loop: connections are accepted, served and ended
    file_numbers     how many connections there may be beside the pollers
    connection_table     who is let in when there is no room
    connection   requests in, responses out, with deadlines; h11 reads and writes HTTP
    streams      the bytes of a connection, plain or through TLS
    web_config_file  the file of `--web.config.file`, read again when it changes
    server_tls   its TLS settings → what a handshake needs
    gate         what is asked before a request is answered
    hosts        which names are ours; rate_limiter, how many requests are answered
    logins       names and passwords; door to bcrypt
    counted_log  a log line for what may happen thousands of times a second
    workers      threads for what takes time
    app          paths and their handlers
    messages     a request and a response
    accept       what a client asks for with its Accept headers
    landing      the page that shows the state of each PBX
    pbx_page     the page of one PBX: its calls by hour and by day
    elsewhere    what the pages say of a PBX that another replica holds
    status       the state of a PBX in words; callee_notes, what it says of callees
    advice       what to do about it, in the words of the runbook
    periods      the last hours and days in a time zone
    charts       numbers → SVG
    runbook      the runbook as a page
    text         numbers and times as people read them
    html         what all HTML pages have in common
    discovery    the PBXs as scrape targets
    replicas     which replica holds which PBX, asked of the database for few at a time
"""

from .app import App
from .connection import Deadlines
from .discovery import check_advertised, check_external_url
from .file_numbers import ConnectionLimits, connection_limits, files_needed, raise_file_limit
from .hosts import Hosts
from .listen import ListenAddress, ListenError, parse_listen_address
from .replicas import Replicas
from .server import Server
from .web_config_file import WebConfigFile

__all__ = [
    "App",
    "ConnectionLimits",
    "Deadlines",
    "Hosts",
    "ListenAddress",
    "ListenError",
    "Replicas",
    "Server",
    "WebConfigFile",
    "check_advertised",
    "check_external_url",
    "connection_limits",
    "files_needed",
    "parse_listen_address",
    "raise_file_limit",
]
