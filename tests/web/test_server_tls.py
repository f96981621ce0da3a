"""The real server with TLS and logins: what clients can do, and what they cannot."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from cdr_exporter.errors import ConfigError
from cdr_exporter.web import ConnectionLimits, Hosts, Server, WebConfigFile

from ..support.web import app, snapshot
from ..support.web_certificates import Issued, client_context, encrypted_key, issued
from ..support.web_server import PATIENCE, connect, drain, exchange, serving, status, wait_until

HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
BIG = b"x" * 5_000_000
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
VERIFY = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
LOGIN = f"basic_auth_users:\n  alice: {bcrypt.hashpw(b'wonder', bcrypt.gensalt(4)).decode()}\n"
ALICE = b"Authorization: Basic YWxpY2U6d29uZGVy\r\n"

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Return a function that writes the file, beside certificates of a server and its CA."""
    issued("ca", "ca").write(tmp_path, "ca")
    issued("server").write(tmp_path, "server")

    def write(text: str = TLS) -> Path:
        path = tmp_path / "web.yml"
        path.write_text(text)
        return path

    return write


def shake_hands(server: Server, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(connect(server), server_hostname="localhost")


def ask(server: Server, context: ssl.SSLContext | None = None, sent: bytes = HEALTHY) -> bytes:
    with shake_hands(server, context or client_context()) as client:
        client.sendall(sent)
        return drain(client)


def test_a_request_over_tls_is_answered_and_its_end_is_known(configure: Configure) -> None:
    with serving(web_config=configure()) as server, shake_hands(server, client_context()) as client:
        client.sendall(HEALTHY)
        answer = drain(client)  # an end without TLS' own would be an error of ssl

    assert status(answer) == 200
    assert answer.endswith(b"ok\n")


def test_a_large_answer_over_tls_arrives_whole(configure: Configure) -> None:
    big = app(snapshot(), dashboards={"big.json": BIG})
    with serving(big, web_config=configure()) as server:
        answer = ask(server, sent=HEALTHY.replace(b"/-/healthy", b"/dashboards/big.json"))

    assert answer.endswith(BIG)


def test_http_1_1_is_what_is_agreed_on_with_a_client_that_would_have_http_2(
    configure: Configure,
) -> None:
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with serving(web_config=configure()) as server, shake_hands(server, context) as client:
        assert client.selected_alpn_protocol() == "http/1.1"


@pytest.mark.fault("F13")
def test_plain_http_on_the_port_of_tls_is_answered_in_words(configure: Configure) -> None:
    with serving(web_config=configure()) as server:
        answer = exchange(server, HEALTHY)

        assert status(answer) == 400
        assert answer.endswith(b"Client sent an HTTP request to an HTTPS server.\n")
        assert status(ask(server)) == 200


@pytest.mark.fault("F13")
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x00\x05hello", id="broken"),
        pytest.param(b"\x16", id="one byte and the end"),
        pytest.param(b"", id="nothing and the end"),
        pytest.param(b"\x00" * 70_000, id="zeros"),
    ],
)
def test_what_is_no_handshake_ends_the_connection_and_no_other(
    configure: Configure, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(web_config=configure()) as server:
        with connect(server) as client, contextlib.suppress(ConnectionError):
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            drain(client)

        assert status(ask(server)) == 200
    assert [record for record in caplog.records if record.name != "asyncio"] == []


@pytest.mark.fault("F13")
@pytest.mark.parametrize(
    "sent", [pytest.param(b"", id="nothing"), pytest.param(b"\x16\x03\x01", id="half a record")]
)
def test_a_client_that_does_not_shake_hands_is_closed(configure: Configure, sent: bytes) -> None:
    with serving(web_config=configure(), handshake=0.2) as server, connect(server) as client:
        client.sendall(sent)

        assert drain(client) == b""


@pytest.mark.fault("F13")
def test_200_clients_that_connect_and_send_nothing_hold_up_nobody(configure: Configure) -> None:
    with (
        serving(web_config=configure(), limits=ConnectionLimits(150, 75)) as server,
        contextlib.ExitStack() as clients,
    ):
        for number in range(200):
            client = clients.enter_context(connect(server))
            client.sendall(b"\x16\x03\x01"[: number % 4])
        began = time.monotonic()

        assert status(ask(server)) == 200
        assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize(
    ("setting", "maximum", "agreed"),
    [
        pytest.param("", ssl.TLSVersion.TLSv1_3, "TLSv1.3", id="newest"),
        pytest.param("", ssl.TLSVersion.TLSv1_2, "TLSv1.2", id="old client"),
        pytest.param("  max_version: TLS12\n", ssl.TLSVersion.TLSv1_3, "TLSv1.2", id="old server"),
        pytest.param("  min_version: TLS13\n", ssl.TLSVersion.TLSv1_2, None, id="too old"),
    ],
)
def test_the_version_is_within_the_limits(
    configure: Configure, setting: str, maximum: ssl.TLSVersion, agreed: str | None
) -> None:
    context = client_context()
    context.maximum_version = maximum
    with serving(web_config=configure(TLS + setting)) as server:
        if agreed is None:
            with pytest.raises(ssl.SSLError):
                shake_hands(server, context)
        else:
            with shake_hands(server, context) as client:
                assert client.version() == agreed


@pytest.mark.parametrize(
    ("setting", "client_suites", "agreed"),
    [
        pytest.param(
            "[TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            id="our order",
        ),
        pytest.param(
            "[TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"
            "  prefer_server_cipher_suites: false",
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            id="order of the client",
        ),
        pytest.param(
            "[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            None,
            id="none in common",
        ),
    ],
)
def test_the_cipher_suite_is_one_of_those_named(
    configure: Configure, setting: str, client_suites: str, agreed: str | None
) -> None:
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(client_suites)
    with serving(web_config=configure(f"{TLS}  cipher_suites: {setting}\n")) as server:
        if agreed is None:
            with pytest.raises(ssl.SSLError):
                shake_hands(server, context)
            return
        with shake_hands(server, context) as client:
            cipher = client.cipher()
            assert cipher is not None
            assert cipher[0] == agreed


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        pytest.param("secp521r1", contextlib.nullcontext(), id="same"),
        pytest.param("secp384r1", pytest.raises(ssl.SSLError), id="other"),
    ],
)
def test_the_curve_is_the_one_named(
    configure: Configure, curve: str, expected: contextlib.AbstractContextManager[object]
) -> None:
    context = client_context()
    context.set_ecdh_curve(curve)
    path = configure(TLS + "  curve_preferences: [CurveP521]\n")
    with serving(web_config=path) as server, expected:
        assert status(ask(server, context)) == 200


IF_GIVEN = "  client_auth_type: VerifyClientCertIfGiven\n"
CA = "  client_ca_file: ca.crt\n"
NAMES = "  client_allowed_sans: [{}]\n"
CLIENT = issued("client")
STRANGER = issued("stranger", "stranger")


@pytest.mark.fault("F6")
@pytest.mark.parametrize(
    ("setting", "shown", "let_in"),
    [
        pytest.param(VERIFY, CLIENT, True, id="of the CA"),
        pytest.param(VERIFY, None, False, id="none"),
        pytest.param(VERIFY, STRANGER, False, id="of somebody else"),
        pytest.param(VERIFY + NAMES.format("x, client.example"), CLIENT, True, id="name"),
        pytest.param(VERIFY + NAMES.format("2001:db8:0::7"), CLIENT, True, id="address"),
        pytest.param(VERIFY + NAMES.format("example"), CLIENT, False, id="other name"),
        pytest.param(IF_GIVEN + CA, None, True, id="none, if given"),
        pytest.param(IF_GIVEN + CA + NAMES.format("x"), None, True, id="none, if given, names"),
        pytest.param(IF_GIVEN + CA, STRANGER, False, id="wrong, if given"),
        pytest.param(IF_GIVEN, None, True, id="if given, without a CA"),
        pytest.param("", STRANGER, True, id="not asked for"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_is_let_in_by_its_certificate(
    configure: Configure,
    tmp_path: Path,
    setting: str,
    shown: Issued | None,
    let_in: bool,
    version: ssl.TLSVersion,
) -> None:
    context = client_context(tmp_path, shown)
    context.maximum_version = version
    with serving(web_config=configure(TLS + setting)) as server:
        answer = b""
        with contextlib.suppress(OSError):
            answer = ask(server, context)

        assert answer.endswith(b"ok\n") == let_in


@pytest.mark.fault("F6")
def test_a_certificate_that_stands_in_the_file_itself_is_good(
    configure: Configure, tmp_path: Path
) -> None:
    STRANGER.write(tmp_path, "ca")
    with serving(web_config=configure(TLS + VERIFY)) as server:
        context = ssl.create_default_context(cadata=issued("ca", "ca").cert)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.load_cert_chain(*STRANGER.write(tmp_path, "stranger"))

        assert status(ask(server, context)) == 200


def test_certificate_and_key_may_stand_in_the_file(configure: Configure) -> None:
    def indented(pem: str) -> str:
        return "".join(f"    {line}\n" for line in pem.splitlines())

    it = issued("server")
    text = f"tls_server_config:\n  cert: |\n{indented(it.cert)}  key: |\n{indented(it.key)}"
    with serving(web_config=configure(text)) as server:
        assert status(ask(server)) == 200


UNREADABLE = "cannot be read (no such file or directory); name a file in PEM form"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("server.crt", None, f"cert_file: {UNREADABLE}", id="no certificate"),
        pytest.param("server.key", None, f"key_file: {UNREADABLE}", id="no key"),
        pytest.param("ca.crt", None, f"client_ca_file: {UNREADABLE}", id="no CA"),
        pytest.param("server.crt", "", "cert_file: holds no certificate in PEM form", id="empty"),
        pytest.param("server.key", "junk", "key_file: holds no private key", id="junk"),
        pytest.param("ca.crt", "junk", "client_ca_file: holds no certificate", id="junk CA"),
        pytest.param("server.key", CLIENT.key, "key_file: does not belong", id="other key"),
        pytest.param("server.key", encrypted_key("server"), "key_file: is encrypted", id="locked"),
    ],
)
def test_a_bad_certificate_is_one_message_with_its_key(
    configure: Configure, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    file = tmp_path / name
    file.unlink() if content is None else file.write_text(content)

    with pytest.raises(ConfigError) as caught:
        WebConfigFile(configure(TLS + VERIFY))

    assert str(caught.value).startswith(f"{tmp_path / 'web.yml'}: tls_server_config.{message}")


def test_a_certificate_that_is_no_file_is_not_waited_for(
    configure: Configure, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cert_file: is no file"):
        WebConfigFile(configure(TLS.replace("server.crt", "/dev/zero")))


@pytest.mark.fault("F6")
@pytest.mark.parametrize(
    ("target", "header", "expected"),
    [
        pytest.param("/metrics", ALICE, 200, id="right"),
        pytest.param("/metrics", b"", 401, id="none"),
        pytest.param("/metrics", ALICE.replace(b"Basic Y", b"Basic Z"), 401, id="wrong"),
        pytest.param("/-/healthy", b"", 401, id="healthy"),
        pytest.param("/nothing", b"", 401, id="no such path"),
        pytest.param("/nothing", ALICE, 404, id="no such path, right"),
    ],
)
def test_every_path_needs_the_login(
    configure: Configure, target: str, header: bytes, expected: int
) -> None:
    with serving(web_config=configure(LOGIN)) as server:
        answer = exchange(server, f"GET {target} HTTP/1.0\r\n".encode() + header + b"\r\n")

    assert status(answer) == expected
    assert (b"\r\nWWW-Authenticate: Basic\r\n" in answer) == (expected == 401)


@pytest.mark.fault("F6")
def test_wrong_logins_are_logged_once_a_minute_without_name_and_address(
    configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = ALICE.replace(b"Basic Y", b"Basic Z")
    with serving(web_config=configure(LOGIN)) as server:
        for _ in range(5):
            exchange(server, b"GET / HTTP/1.0\r\n" + wrong + b"\r\n")

    (line,) = (record for record in caplog.records if record.name != "asyncio")
    assert line.getMessage() == "logins refused"
    assert vars(line)["fields"] == {"reason": "wrong", "logins": 1}


def test_more_requests_than_the_limit_are_429(configure: Configure) -> None:
    with serving(web_config=configure("rate_limit: {interval: 1h, burst: 2}\n")) as server:
        answers = [exchange(server, HEALTHY) for _ in range(3)]

    assert [status(answer) for answer in answers] == [200, 200, 429]
    assert b"\r\nRetry-After: " in answers[2]


def test_headers_of_the_file_take_the_place_of_ours(configure: Configure) -> None:
    text = (
        "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n"
        "    Strict-Transport-Security: max-age=1\n"
    )
    with serving(web_config=configure(text)) as server:
        heads = [exchange(server, f"GET {each} HTTP/1.0\r\n\r\n".encode()) for each in "/x"]

    for head in heads:
        assert head.count(b"X-Frame-Options: sameorigin\r\n") == head.count(b"X-Frame-Options") == 1
        assert b"\r\nStrict-Transport-Security: max-age=1\r\n" in head
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in head


@pytest.mark.fault("F12")
def test_a_foreign_host_is_421_before_its_login_is_looked_at(configure: Configure) -> None:
    hosts = Hosts([], "https://mon.example/")
    with serving(web_config=configure(LOGIN), hosts=hosts) as server:

        def asked(host: str) -> int:
            return status(exchange(server, f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()))

        assert [asked("evil.example"), asked("mon.example")] == [421, 401]


@pytest.mark.slow
def test_a_new_certificate_and_a_new_password_need_no_new_start(
    configure: Configure, tmp_path: Path
) -> None:
    def shown() -> bytes | None:
        with shake_hands(server, client_context()) as client:
            return client.getpeercert(binary_form=True)

    with serving(web_config=configure(TLS + LOGIN)) as server:
        old = shown()
        issued("renewed").write(tmp_path, "server")
        configure(TLS + LOGIN.replace("alice", "bob"))

        wait_until(lambda: shown() != old, "the new certificate")
        wait_until(
            lambda: status(ask(server, sent=HEALTHY.replace(b"Conn", ALICE + b"Conn"))) == 401,
            "the old login is refused",
        )


class TestTheFileWhileItChanges:
    """One reading after the other, without a server."""

    def test_what_has_not_changed_is_not_read(
        self, configure: Configure, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = WebConfigFile(configure(TLS))
        before = file.access

        file.reread()

        assert file.access is before

    @pytest.mark.fault("F14")
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            pytest.param("junk", "is text where a group of keys is expected", id="junk"),
            pytest.param(TLS + "  cert_filse: x\n" + LOGIN, "is an unknown key", id="unknown key"),
            pytest.param("", "takes TLS or the logins away", id="empty"),
            pytest.param(TLS, "takes TLS or the logins away", id="half written"),
            pytest.param(LOGIN, "takes TLS or the logins away", id="without TLS"),
        ],
    )
    def test_a_bad_file_changes_nothing_and_is_said_once(
        self, configure: Configure, caplog: pytest.LogCaptureFixture, text: str, problem: str
    ) -> None:
        file = WebConfigFile(configure(TLS + LOGIN))
        before = file.access

        configure(text)
        file.reread()
        file.reread()

        assert file.access is before
        (line,) = caplog.records
        assert line.getMessage() == "web configuration not taken, the old one stays"
        assert problem in vars(line)["fields"]["error"]

    def test_each_mistake_of_a_bad_file_is_a_line_of_the_log(
        self, configure: Configure, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = WebConfigFile(configure(TLS))

        configure(TLS + "  min_version: TLS10\n  cert_filse: x\n")
        file.reread()

        errors = [vars(line)["fields"]["error"] for line in caplog.records]
        assert len(errors) == 2
        assert "min_version: is too old" in errors[0]
        assert "cert_filse: is an unknown key" in errors[1]

    @pytest.mark.fault("F14")
    def test_a_certificate_that_comes_before_its_key_is_taken_when_both_are_there(
        self, configure: Configure, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = WebConfigFile(configure(TLS))
        before = file.access
        new = issued("renewed")

        (tmp_path / "server.crt").write_text(new.cert)
        file.reread()
        assert file.access is before
        (tmp_path / "server.key").write_text(new.key)
        file.reread()

        assert file.access is not before
        assert "does not belong" in vars(caplog.records[0])["fields"]["error"]

    @pytest.mark.fault("F14")
    def test_a_file_that_is_gone_and_comes_back_is_read_again(
        self, configure: Configure, tmp_path: Path
    ) -> None:
        file = WebConfigFile(configure(LOGIN))
        (tmp_path / "web.yml").unlink()
        file.reread()
        assert "alice" in file.access.users

        configure(LOGIN.replace("alice", "bob"))
        file.reread()

        assert "bob" in file.access.users
