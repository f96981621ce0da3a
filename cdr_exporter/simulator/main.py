"""The sub-command `simulate`: the simulated PBX alone, until it is told to stop.

Rule: what it imitates and what it does not is said in its help, so that nobody takes a number
measured here for one of a real box.
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
import threading
from pathlib import Path

from .pbx import API_PATH, CLIENT_ID, CLIENT_SECRET, SimulatedPBX

DESCRIPTION = """\
Answer as the Open API of a P-Series PBX does (get_token, refresh_token, del_token, cdr/list),
with the calls of a made-up office: some days of history, then live calls.
"""

EPILOG = f"""\
Everybody and every number in it is made up. The default credentials, {CLIENT_ID} and
{CLIENT_SECRET}, are public; they guard nothing.

Not imitated:
  - the speed of a real box, which serves some 400 rows a second: this one serves tens of
    thousands, so do not size anything by it;
  - the certificate of a real box: plain HTTP unless --tls-cert is given;
  - calls of several legs (queues, IVR, transfers): here every call is one row;
  - the rows of firmware x.21.0.117 and later, which have new_id in place of id;
  - the clean-up of old rows, restores, resets of the ids, a change of the clock;
  - further endpoints (cdr/search, v2.0, events) and parameters (from, ...) of the real API;
  - the IP restriction, and every setting of a real PBX.
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
        help="where to answer; without HOST 127.0.0.1, port 0 takes a free one (%(default)s)",
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
    add("--tls-cert", metavar="FILE", help="serve HTTPS with this PEM certificate")
    add("--tls-key", metavar="FILE", help="its key, where the certificate's file has none")
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
        type=_not_negative,
        default=30,
        metavar="N",
        help="days of history, of about 250 calls each from Monday to Friday (%(default)s)",
    )
    add(
        "--rate",
        type=_not_negative,
        default=1.0,
        metavar="FACTOR",
        help="multiplies the calls, in history and live (%(default)s)",
    )
    add(
        "--min-calls-per-minute",
        type=_not_negative,
        default=0.0,
        metavar="N",
        help="at least so many live calls, at night too; leaves the history alone (%(default)s)",
    )
    add(
        "--utc-offset",
        type=float,
        default=0.0,
        metavar="HOURS",
        help="the office's time zone, for its working day and the displayed time (%(default)s)",
    )


def run(args: argparse.Namespace, stop: threading.Event | None = None) -> int:
    """Serve until *stop* is set and return the exit code.

    0 when told to stop, 1 where the address cannot be had, 2 for a secret or a certificate
    that cannot be read. Without *stop* only KeyboardInterrupt ends it.
    """
    try:
        pbx, context = _pbx(args), _ssl_context(args)
    except (OSError, ValueError) as error:
        return _complain(str(error), 2)
    try:
        return _serve(pbx, args, context, stop or threading.Event())
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        host, port = args.listen
        return _complain(f"cannot listen on {host}:{port}: {error.strerror or error}", 1)


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
) -> int:
    host, port = args.listen
    with pbx.serve(host, port, ssl_context=context, live=True, control=args.control) as server:
        _say(
            f"simulated PBX ready: base_url={server.base_url} api_path={API_PATH}"
            f" client_id={pbx.client_id} records={len(pbx.table)}"
        )
        stop.wait()
    return 0


def _pbx(args: argparse.Namespace) -> SimulatedPBX:
    return SimulatedPBX(
        seed=args.seed,
        client_id=args.client_id,
        client_secret=_secret(args),
        days=args.days,
        rate=args.rate,
        min_calls_per_minute=args.min_calls_per_minute,
        utc_offset_seconds=round(args.utc_offset * 3600),
        token_seconds=args.token_life,
    )


def _secret(args: argparse.Namespace) -> str:
    if args.client_secret_file:
        return Path(args.client_secret_file).read_text(encoding="utf-8").strip()
    if args.client_secret_env:
        if args.client_secret_env not in os.environ:
            raise ValueError(f"--client-secret-env: {args.client_secret_env} is not set")
        return os.environ[args.client_secret_env]
    return CLIENT_SECRET


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


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is less than 0 or no number")
    return number


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"cdr-exporter simulate: {message}\n")
    return code


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
