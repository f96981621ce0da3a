"""A server on loopback that does what its script says, byte by byte, and records what it got.

    with Wire(say(ok(b"{}")), drip(ok(b"{}"), 0.1)) as wire:
        ...  # the first connection is answered, the second and all later ones drip

A step is a function of the `Call`, one accepted connection.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Call:
    """One connection as the server sees it."""

    def __init__(self, wire: Wire, sock: socket.socket) -> None:
        self.wire = wire
        self.sock = sock
        self.got = b""

    def request(self) -> bytes:
        """Read one request, head and body."""
        while b"\r\n\r\n" not in self.got and self._more():
            pass
        head, _, body = self.got.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length and self._more():
            body = self.got.partition(b"\r\n\r\n")[2]
        self.wire.requests.append(self.got)
        return self.got

    def _more(self) -> bool:
        block = self.sock.recv(65536)
        self.got += block
        self.wire.received += block
        return bool(block)

    def write(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the test is over; False when *seconds* passed before."""
        return self.wire.over.wait(seconds)


Step = Callable[[Call], None]


class Wire:
    """A listening socket, a script, and a record of what arrived."""

    def __init__(self, *script: Step, tls: ssl.SSLContext | None = None) -> None:
        self.script = list(script)
        self.received = b""
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Wire:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            step = self.script[min(self.connections, len(self.script) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock, step))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, step: Step) -> None:
        sock.settimeout(5)
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            step(Call(self, sock))
        except OSError:
            pass  # the client went away; what it sent is recorded
        finally:
            # A socket that is closed while bytes lie unread resets the connection.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            sock.close()


def ok(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return a whole answer; a header's underscores are hyphens."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(body: bytes, size: int = 7) -> bytes:
    """Return a whole answer in chunks."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)] + [b""]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def say(data: bytes) -> Step:
    """Read the request and answer with these bytes."""

    def step(call: Call) -> None:
        call.request()
        call.write(data)

    return step


def drip(data: bytes, seconds: float) -> Step:
    """Answer a byte at a time."""

    def step(call: Call) -> None:
        call.request()
        for at in range(len(data)):
            call.write(data[at : at + 1])
            if call.wait(seconds):
                return

    return step


def hang(call: Call) -> None:
    """Read the request and say nothing, for ever."""
    call.request()
    call.wait()


def mute(call: Call) -> None:
    """Do not even read."""
    call.wait()


def reset(data: bytes = b"") -> Step:
    """Say these bytes, then reset the connection."""

    def step(call: Call) -> None:
        call.request()
        call.write(data)
        # Long enough for the bytes to be read: a reset may overtake what was not.
        call.wait(0.05)
        call.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        call.sock.close()

    return step


def endless(head: bytes, block: bytes) -> Step:
    """Repeat *block* after *head* for as long as the client takes it."""

    def step(call: Call) -> None:
        call.request()
        call.write(head)
        while not call.wire.over.is_set():
            call.write(block)

    return step


def as_plain_http(call: Call) -> None:
    """Be a web server whose port does not speak TLS."""
    call.sock.recv(1)
    call.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def full_backlog() -> Iterator[str]:
    """Yield the URL of a port on which a connection attempt is never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        try:
            for _ in range(4):
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(listener.getsockname())
                waiting.append(client)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for client in waiting:
                client.close()


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


# --- certificates


@dataclass(frozen=True)
class Certificate:
    """A certificate for a server, its key beside it in the same file."""

    file: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context


def certificate(
    directory: Path, name: str, issuer: Certificate | None = None, address: str = "127.0.0.1"
) -> Certificate:
    """Make a certificate; without *issuer* it is self-signed and a CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
            critical=False,
        )
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    file = directory / f"{name}.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Certificate(file, made, key)
