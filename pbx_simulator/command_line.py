"""`cdr-exporter simulate` and `python -m pbx_simulator`: the simulated PBX alone.

Rule: the help says what is imitated and what is not, so that nobody takes a number measured here
for one of a real PBX.
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from .control import COMMANDS
from .firmware import KINDS, OLD, Upgrade
from .leg_visibility import AT_CALL_END, LEGS_APPEAR
from .office import OfficeSettings
from .pbx import API_PATH, CLIENT_ID, CLIENT_SECRET, APISettings, SimulatedPBX
from .rows import DEFAULT_TIME_FORMAT, TIME_FORMATS
from .scenarios import LEGS_A_CALL, SCENARIOS
from .serving import serve
from .traffic import CALLS_A_DAY

MAX_ROWS = 10_000_000
MAX_DAYS = 18_250  # 50 years
MAX_RATE = 10_000
MAX_CLOCK_AHEAD = 10**9  # 31 years, either way
MAX_CALLS_PER_MINUTE = 60_000
WESTERNMOST, EASTERNMOST = -12, 14  # hours from UTC


def _listed(names: Iterable[str]) -> str:
    return textwrap.fill(
        ", ".join(names), 92, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )


DESCRIPTION = """\
Answer as the Open API of a P-Series PBX does (get_token, refresh_token, del_token, cdr/list),
with the calls of a made-up office: some days of history, then live calls.
"""

EPILOG = f"""\
Everybody and every number in it is made up. The default credentials, {CLIENT_ID} and
{CLIENT_SECRET}, are public; they guard nothing.

Not imitated:
  - the speed of a real PBX, which serves some 400 rows a second: this one serves tens of
    thousands unless --rows-per-second is given, so do not size anything by it;
  - the certificate of a real PBX: plain HTTP unless --tls-cert is given;
  - conferences of several people, call parking, pickup, paging and fax;
  - when a real PBX shows the legs of a call, which is unknown: see --legs-appear;
  - which rows newer firmware shows without the parameter from, which is unknown: see --firmware;
  - call notes, PIN codes and names of DIDs: newer firmware sends the fields, blank;
  - further endpoints (cdr/search, v2.0, events) and parameters (pin_code, ...) of the real API;
  - the IP restriction, and every setting of a real PBX.

With --control, programs on this machine can steer it by POST /control/COMMAND:
{_listed(COMMANDS)}
They make calls of one leg or of several, delete old rows (clean-up) or any others, with their ids
used again or not, show rows late, restore backups, reset ids, upgrade to firmware x.21.0.117 and
later (two tables, new_id in place of id, more fields in each row), set the clock wrong, answer as
another PBX, with an earlier answer or with none, change the table between two pages, and send
pages and rows that break the contract. The arguments are in pbx_simulator/control.py. Nothing of
it happens by itself but the clean-up, with --limit, and the upgrade, with --firmware.

The scenarios of whole-calls, begin-call and hold-back:
{_listed(SCENARIOS)}

Exit codes:
  0  ended by SIGTERM or SIGINT
  1  the address cannot be listened on
  2  bad arguments; a certificate or secret that cannot be used

Examples:
  cdr-exporter simulate --days 7 --min-calls-per-minute 4
  cdr-exporter simulate --listen 0.0.0.0:8088 --seed 2 --utc-offset -5 --control

The same --seed makes the same calls at the same instants, as long as --rate, --utc-offset and,
for live calls, --min-calls-per-minute stay the same.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give *parser* the description, the options and the limits of `simulate`."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_server_arguments(parser)
    _add_traffic_arguments(parser)


def _add_server_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--listen",
        type=listen_address,
        default="127.0.0.1:8088",
        metavar="HOST:PORT",
        help="where to listen; without HOST on 127.0.0.1; port 0: a free one (%(default)s)",
    )
    add("--client-id", default=CLIENT_ID, metavar="ID", help="who may log in (%(default)s)")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--client-secret-file", metavar="FILE", help="a file with the secret")
    secret.add_argument("--client-secret-env", metavar="NAME", help="a variable with the secret")
    add(
        "--token-life",
        type=_positive,
        default=1800,
        metavar="SECONDS",
        help="life of an access token (%(default)s)",
    )
    add(
        "--rows-per-second",
        type=_above_zero,
        metavar="N",
        help="answer cdr/list at this speed (as fast as it can)",
    )
    add("--tls-cert", metavar="FILE", help="serve HTTPS with this PEM certificate")
    add("--tls-key", metavar="FILE", help="its key, unless the certificate's file has it")
    add(
        "--control",
        action="store_true",
        help="let programs on this machine steer it by POST /control/COMMAND",
    )


def _add_traffic_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--seed", type=int, default=1, metavar="N", help="which office (%(default)s)")
    add(
        "--days",
        type=_up_to(MAX_DAYS),
        default=30,
        metavar="N",
        help="days of history, of about 250 calls each from Monday to Friday, a call being one row"
        " for each of its legs (%(default)s)",
    )
    add(
        "--rate",
        type=_up_to(MAX_RATE),
        default=1.0,
        metavar="FACTOR",
        help="multiplies the calls, in history and live (%(default)s)",
    )
    add(
        "--min-calls-per-minute",
        type=_up_to(MAX_CALLS_PER_MINUTE),
        default=0.0,
        metavar="N",
        help="at least so many live calls, at night too; leaves the history alone (%(default)s)",
    )
    add(
        "--legs-appear",
        choices=LEGS_APPEAR,
        default=AT_CALL_END,
        help="when the legs of a call become rows: all when it ends, or each when that leg ends"
        " (%(default)s)",
    )
    add(
        "--firmware",
        choices=KINDS,
        default=OLD,
        help="old: one table, and from is ignored. The others are x.21.0.117 and later, which write"
        " rows with new_id in place of id into a new table and keep the legacy one; without from"
        " they list both tables, or the legacy one only, with its total_number or that of both"
        " (%(default)s)",
    )
    add(
        "--upgraded-days-ago",
        type=_up_to(MAX_DAYS),
        default=0.0,
        metavar="N",
        help="when it got the newer firmware; rows from before are legacy (%(default)s)",
    )
    add(
        "--utc-offset",
        type=_utc_offset,
        default=0.0,
        metavar="HOURS",
        help="the office's time zone, for its working day and the displayed time (%(default)s)",
    )
    add(
        "--clock-ahead",
        type=_clock_ahead,
        default=0,
        metavar="SECONDS",
        help="by how much its clock is wrong, below 0 behind: the times of all rows and the Date of"
        " its answers show it (%(default)s)",
    )
    add(
        "--time-format",
        choices=TIME_FORMATS,
        default=DEFAULT_TIME_FORMAT,
        metavar="FORMAT",
        help=f"how it displays times: {'; '.join(TIME_FORMATS)} (%(default)s)",
    )
    add(
        "--limit",
        type=_positive,
        metavar="ROWS",
        help="delete the oldest rows above so many, as the automatic clean-up does (none)",
    )


def run(
    args: argparse.Namespace,
    stop: threading.Event | None = None,
    program: str = "cdr-exporter simulate",
) -> int:
    """Serve until *stop* is set and return the exit code.

    0 when *stop* was set, also while the history was made up; 1 when the address is taken; 2
    for a secret or a certificate that cannot be read, and for more history than a table holds.
    Errors are one line on standard error that begins with *program*. Without *stop* only
    KeyboardInterrupt ends it.
    """
    stop = stop or threading.Event()
    try:
        pbx, context = _pbx(args, stop), _ssl_context(args)
        _serve(pbx, args, context, stop)
    except (_Stopped, KeyboardInterrupt):
        return 0
    except _AddressError as error:
        return _complain(program, error, 1)
    except (OSError, ValueError) as error:
        return _complain(program, error, 2)
    return 0


def listen_address(text: str) -> tuple[str, int]:
    """Return *text*, `HOST:PORT`, `[IPV6]:PORT` or `:PORT`, as (host, port).

    Only a host that was typed can be one that others reach: without, it is 127.0.0.1.
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or (":" in host and host[0] != "["):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def _serve(
    pbx: SimulatedPBX,
    args: argparse.Namespace,
    context: ssl.SSLContext | None,
    stop: threading.Event,
) -> None:
    host, port = args.listen
    serving = serve(pbx, host, port, ssl_context=context, live=True, with_control=args.control)
    with ExitStack() as until_stopped:
        try:
            server = until_stopped.enter_context(serving)
        except OSError as error:
            reason = error.strerror or error
            raise _AddressError(f"cannot listen on {host}:{port}: {reason}") from None
        _print_line(
            f"simulated PBX ready: base_url={server.base_url} api_path={API_PATH}"
            f" client_id={pbx.client_id} records={len(pbx.table)}"
        )
        stop.wait()


def _pbx(args: argparse.Namespace, stop: threading.Event) -> SimulatedPBX:
    _check_rows(args.days, args.rate)
    office = OfficeSettings(
        seed=args.seed,
        rate=args.rate,
        min_calls_per_minute=args.min_calls_per_minute,
        utc_offset_seconds=round(args.utc_offset * 3600),
        time_format=args.time_format,
        legs_appear=args.legs_appear,
    )
    api = APISettings(
        client_id=args.client_id, client_secret=_secret(args), token_seconds=args.token_life
    )
    pbx = SimulatedPBX(
        office,
        api,
        clock_ahead=args.clock_ahead,
        days=args.days,
        limit=args.limit,
        upgrade=_upgrade(args),
        upgraded_days=args.upgraded_days_ago,
        check_stop=lambda: _raise_if_set(stop),
    )
    pbx.faults.slow(args.rows_per_second)
    return pbx


class _Stopped(Exception):
    """The program was stopped before it was ready."""


class _AddressError(Exception):
    """The address to listen on is taken, or is not of this machine."""


def _raise_if_set(stop: threading.Event) -> None:
    if stop.is_set():
        raise _Stopped


def _check_rows(days: float, rate: float) -> None:
    rows = days * rate * CALLS_A_DAY * LEGS_A_CALL
    if rows > MAX_ROWS:
        raise ValueError(
            f"--days {days:g} at --rate {rate:g} makes some {rows:,.0f} rows;"
            f" a table holds {MAX_ROWS:,} at most"
        )


def _upgrade(args: argparse.Namespace) -> Upgrade | None:
    if args.firmware == OLD and args.upgraded_days_ago:
        raise ValueError("--upgraded-days-ago: there is no newer --firmware")
    return KINDS[args.firmware]


def _secret(args: argparse.Namespace) -> str:
    if args.client_secret_file:
        text = Path(args.client_secret_file).read_text(encoding="utf-8").strip()
        return _filled(text, f"--client-secret-file: {args.client_secret_file}")
    if args.client_secret_env:
        if args.client_secret_env not in os.environ:
            raise ValueError(f"--client-secret-env: {args.client_secret_env} is not set")
        secret = os.environ[args.client_secret_env]
        return _filled(secret, f"--client-secret-env: {args.client_secret_env}")
    return CLIENT_SECRET


def _filled(secret: str, where: str) -> str:
    if not secret:
        raise ValueError(f"{where} is empty")
    return secret


def _ssl_context(args: argparse.Namespace) -> ssl.SSLContext | None:
    if args.tls_key and not args.tls_cert:
        raise ValueError("--tls-key: there is no --tls-cert")
    if not args.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.tls_cert, args.tls_key)
    return context


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _up_to(most: float) -> Callable[[str], float]:
    """Return a reader of numbers from 0 to *most*."""

    def number(text: str) -> float:
        number = _number(text)
        if not 0 <= number <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between 0 and {most:,.0f}")
        return number

    return number


def _above_zero(text: str) -> float:
    number = _number(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _utc_offset(text: str) -> float:
    number = _number(text)
    if not WESTERNMOST <= number <= EASTERNMOST:
        raise argparse.ArgumentTypeError(f"{text} is not between {WESTERNMOST} and {EASTERNMOST}")
    return number


def _clock_ahead(text: str) -> int:
    number = _number(text)
    if not abs(number) <= MAX_CLOCK_AHEAD:
        raise argparse.ArgumentTypeError(f"{text} is more than {MAX_CLOCK_AHEAD:,} seconds off")
    return round(number)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def _complain(program: str, error: Exception, code: int) -> int:
    sys.stderr.write(f"{program}: {error}\n")
    return code


def _print_line(line: str) -> None:
    """Print *line* if possible: a closed standard output must not keep the PBX from serving."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):  # a broken pipe, a closed file, none at all
        # What is left in the buffer must not be tried again when the process ends.
        sys.stdout = None
