"""The file of `--web.config.file`: what is taken and what is refused, as in the exporter-toolkit.

The cases of the toolkit's own test files are here in our words; where we do otherwise, the id of
the case says so.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cdr_exporter.config import load_web
from cdr_exporter.errors import ConfigError
from cdr_exporter.settings.web import WebSettings

from ..support.paths import ROOT
from ..support.programs import require
from ..support.web_certificates import issued

HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
SUITES = ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA")
HEADERS = "http_server_config:\n  headers:\n    "


def loaded(tmp_path: Path, text: str) -> WebSettings:
    path = tmp_path / "web.yml"
    path.write_text(text)
    return load_web(path)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return str(caught.value).removeprefix(f"{tmp_path / 'web.yml'}: ")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("# nothing\n", id="comments alone"),
        pytest.param(TLS, id="certificate and key"),
        pytest.param(TLS + "  client_auth_type: NoClientCert\n", id="no client certificate"),
        pytest.param(TLS + "  client_auth_type: VerifyClientCertIfGiven\n", id="if given"),
        pytest.param(
            TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
            "  client_allowed_sans: [one, 192.0.2.7]\n",
            id="required",
        ),
        pytest.param(TLS + f"  cipher_suites: [{', '.join(SUITES)}]\n", id="suites"),
        pytest.param(
            TLS + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  min_version: TLS13\n",
            id="suite of 1.3",
        ),
        pytest.param(TLS + "  prefer_server_cipher_suites: false\n", id="order of the client"),
        pytest.param(TLS + "  min_version: TLS13\n  curve_preferences: [CurveP521]\n", id="curve"),
        pytest.param(TLS + "  min_version: TLS12\n  max_version: TLS12\n", id="versions"),
        pytest.param("http_server_config:\n  http2: false\n", id="no HTTP/2"),
        pytest.param(
            HEADERS + "X-Frame-Options: deny\n    X-XSS-Protection: 1\n"
            "    X-Content-Type-Options: nosniff\n"
            "    Strict-Transport-Security: max-age=31536000; includeSubDomains\n"
            "    Content-Security-Policy: \"default-src 'self' *.example.net\"\n",
            id="headers",
        ),
        pytest.param(f"basic_auth_users:\n  alice: {HASH}\n  Bob B.: {HASH}\n", id="users"),
        pytest.param(f"basic_auth_users:\n  a: {HASH.replace('2y', '2a')}\n", id="2a"),
        pytest.param(f"basic_auth_users:\n  a: {HASH.replace('2y$10', '2b$18')}\n", id="cost 18"),
        pytest.param("rate_limit:\n  interval: 0\n  burst: 0\n", id="no limit"),
        pytest.param('rate_limit:\n  interval: "1s"\n  burst: 20\n', id="limit"),
    ],
)
def test_what_the_toolkit_takes_is_taken(tmp_path: Path, text: str) -> None:
    loaded(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "hWkNKCp3fvIx3jKnsaBI\nTuEjdwNS8A\n", "is text where a group of keys is", id="junk"
        ),
        pytest.param(
            "tls_server_config:\n  cert_filse: server.crt\n",
            "tls_server_config.cert_filse: is an unknown key; did you mean cert_file?",
            id="unknown key",
        ),
        pytest.param(
            "cert_file: a\n",
            "cert_file: is an unknown key; it belongs in tls_server",
            id="elsewhere",
        ),
        pytest.param(
            "basic_auth: {}\n",
            "basic_auth: is an unknown key; did you mean basic_auth_users",
            id="top",
        ),
        pytest.param("tls_server_config:\n", "tls_server_config: is empty", id="empty section"),
        pytest.param(
            "tls_server_config:\n  min_version: TLS13\n",
            "cert_file: is missing",
            id="no certificate; ignored in the toolkit",
        ),
        pytest.param(
            "tls_server_config:\n  cert_file: ''\n", "cert_file: is empty", id="empty path"
        ),
        pytest.param("tls_server_config:\n  cert_file: a\n", "key_file: is missing", id="no key"),
        pytest.param(
            "tls_server_config:\n  key_file: a\n", "cert_file: is missing", id="no certificate"
        ),
        pytest.param(
            "tls_server_config:\n  cert: x\n  key_file: a\n",
            "cert: is not a certificate in PEM form",
            id="no PEM",
        ),
        pytest.param(
            TLS + "  cert: |\n    -----BEGIN CERTIFICATE-----\n",
            "tls_server_config: cert_file and cert say the same thing; keep one",
            id="two certificates; the file wins in the toolkit",
        ),
        pytest.param(
            TLS + "  client_ca_file: ca.pem\n",
            "client_auth_type: asks clients for no",
            id="CA without policy",
        ),
        pytest.param(
            TLS + "  client_allowed_sans: [one]\n",
            "client_auth_type: asks clients for no",
            id="names without policy",
        ),
        pytest.param(
            TLS + "  client_auth_type: RequireAndVerifyClientCert\n",
            "client_ca_file: is missing",
            id="policy without CA; any public CA will do in the toolkit",
        ),
        pytest.param(
            TLS + "  client_auth_type: Require\n",
            "is not a known policy; write NoClientCert",
            id="policy",
        ),
        pytest.param(
            TLS + "  client_auth_type: RequireAnyClientCert\n",
            "takes any certificate unchecked, which is not done; write RequireAndVerifyClientCert",
            id="unchecked; done in the toolkit",
        ),
        pytest.param(
            TLS + "  cipher_suites: [TLS_AES_2048]\n",
            "cipher_suites[0]: is not a known cipher suite",
            id="suite",
        ),
        pytest.param(
            TLS + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n",
            "has none for TLS 1.2",
            id="suites of 1.3 alone",
        ),
        pytest.param(
            TLS + "  curve_preferences: [CurveP1]\n",
            "curve_preferences[0]: is not a known curve",
            id="curve",
        ),
        pytest.param(
            TLS + "  curve_preferences: [CurveP256, X25519]\n",
            "curve_preferences: has not exactly one curve",
            id="two curves; done in the toolkit",
        ),
        pytest.param(
            TLS + "  min_version: TLS111\n", "min_version: is not a known version", id="version"
        ),
        pytest.param(
            TLS + "  min_version: TLS10\n",
            "min_version: is too old to be safe",
            id="TLS 1.0; done in the toolkit",
        ),
        pytest.param(
            TLS + "  min_version: TLS13\n  max_version: TLS12\n",
            "min_version: is above max_version",
            id="versions",
        ),
        pytest.param(
            "http_server_config:\n  http2: true\n",
            "http2: asks for HTTP/2, which is not served",
            id="HTTP/2; done in the toolkit",
        ),
        pytest.param(
            HEADERS + "Content-Type: foo\n",
            "is an unknown key; the keys here are Content-Security-Policy",
            id="header",
        ),
        pytest.param(HEADERS + "X-Frame-Options: allow\n", "write deny or sameorigin", id="frames"),
        pytest.param(HEADERS + "X-Content-Type-Options: x\n", "write nosniff", id="sniffing"),
        pytest.param(
            HEADERS + 'X-XSS-Protection: "1\\r\\nA: b"\n', "holds a line break", id="line break"
        ),
        pytest.param(HEADERS + "X-XSS-Protection: é\n", "write it in ASCII", id="not ASCII"),
        pytest.param(
            "basic_auth_users:\n  john: doe\n",
            "john: is not a bcrypt hash; make one with",
            id="no hash",
        ),
        pytest.param(
            f"basic_auth_users:\n  a: {HASH[:-1]}\n", "is not a bcrypt hash", id="short hash"
        ),
        pytest.param(
            f"basic_auth_users:\n  a: {HASH.replace('$10$', '$31$')}\n",
            "has a cost that is not 4 to 18",
            id="cost 31; takes hours in the toolkit",
        ),
        pytest.param(f"basic_auth_users:\n  'a:b': {HASH}\n", "has a colon in it", id="colon"),
        pytest.param(
            "rate_limit:\n  interval: 1s\n",
            "burst: is 0, which would refuse every request",
            id="no burst; refuses all in the toolkit",
        ),
        pytest.param(
            "rate_limit:\n  interval: 5\n  burst: 1\n", "interval: has no unit", id="no unit"
        ),
        pytest.param(
            "rate_limit:\n  interval: 1s\n  burst: -1\n", "burst: is less than 0", id="burst < 0"
        ),
        pytest.param(
            f"basic_auth_users:\n  a: {HASH}\nbasic_auth_users:\n  b: {HASH}\n",
            "keep one",
            id="twice",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        pytest.param(
            "rate_limit:\n  burst: x\n  bust: 1\nhttp2: no\n"
            "tls_server_config:\n  min_version: TLS10\n",
            [
                "rate_limit.burst: is text",
                "rate_limit.bust: is an unknown key",
                "http2: is an unknown key; it belongs in http_server_config",
                "tls_server_config.min_version: is too old",
            ],
            id="single values",
        ),
        pytest.param(
            "tls_server_config:\n  min_version: TLS13\n  max_version: TLS12\n"
            "  client_allowed_sans: [one]\nrate_limit: {interval: 1s}\n",
            [
                "tls_server_config.cert_file: is missing",
                "tls_server_config.key_file: is missing",
                "tls_server_config.client_auth_type: asks clients",
                "tls_server_config.min_version: is above",
                "rate_limit.burst: is 0",
            ],
            id="what does not go together",
        ),
    ],
)
def test_all_mistakes_are_told_at_once(tmp_path: Path, text: str, places: list[str]) -> None:
    path = str(tmp_path / "web.yml")
    lines = refusal(tmp_path, text).replace(f"{path}: ", "").split("\n")

    assert len(lines) == len(places)
    assert all(map(str.startswith, lines, places)), lines


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("basic_auth_users:\n  a: CaNaRy0\n", id="no hash"),
        pytest.param("basic_auth_users:\n  a: {CaNaRy0: 1}\n", id="group for hash"),
        pytest.param("basic_auth_users: CaNaRy0\n", id="hash for users"),
        pytest.param("tls_server_config:\n  key: CaNaRy0\n  cert_file: a\n", id="key"),
        pytest.param("a: b: CaNaRy0\n", id="no YAML"),
    ],
)
def test_no_message_shows_what_the_file_holds(tmp_path: Path, text: str) -> None:
    path = tmp_path / "web.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_web(path)

    assert "CaNaRy0" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_paths_start_at_the_directory_of_the_file(tmp_path: Path) -> None:
    tls = loaded(tmp_path, TLS.replace("server.key", "/elsewhere/server.key")).tls

    assert tls is not None
    assert (tls.cert_file, tls.key_file) == (tmp_path / "server.crt", Path("/elsewhere/server.key"))


def test_a_missing_file_is_said_with_its_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; .* with --web\.config\.file"):
        load_web(tmp_path / "none.yml")


def test_promtool_and_we_take_the_example(tmp_path: Path) -> None:
    issued("exporter").write(tmp_path, "exporter")
    path = tmp_path / "web.yml"
    path.write_text((ROOT / "prometheus" / "web.yml").read_text())

    assert load_web(path).tls is not None
    subprocess.run([require("promtool"), "check", "web-config", str(path)], check=True)


def test_the_example_shows_a_limit_that_can_be_switched_on(tmp_path: Path) -> None:
    text = (ROOT / "prometheus" / "web.yml").read_text()
    _, limit = text.split("# rate_limit:")
    switched_on = "rate_limit:" + limit.replace("\n#", "\n")

    assert loaded(tmp_path, switched_on).rate_limit.interval > 0
