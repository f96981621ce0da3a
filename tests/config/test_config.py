"""From `exporter.yml` to settings: what is accepted, what is refused, and with which message."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from cdr_exporter import config, settings
from cdr_exporter.cdr.contract import NUMBER_PLAN
from cdr_exporter.config import yaml_text
from cdr_exporter.config.reading import EXPORTER_YML, FILE
from cdr_exporter.errors import ConfigError
from cdr_exporter.metrics.catalogue import FAMILIES, TRAFFIC_FAMILIES
from cdr_exporter.secret import Secret
from cdr_exporter.settings import durations
from cdr_exporter.settings.kinds import Group, declared

from ..support.each import for_each
from ..support.paths import ROOT

CANARY = "CANARYs3cr3tQx7vR2mZ9kL4wP8"
FINGERPRINT = "0123456789abcdef" * 4
BASE = Path("/etc/cdr-exporter")
SHIPPED = ROOT / "exporter.yml"

PBX = {
    "name": "hq",
    "base_url": "https://192.0.2.10:8088",
    "client_id": "UEnH9Dmv6uBJEXsY",
    "client_secret": CANARY,
}


def text(top: str = "", **changed: str | None) -> str:
    """One PBX as YAML; *changed* holds raw YAML by key, None leaves a key out."""
    return f"{top}\npbxs:\n{entry(**changed)}"


def entry(**changed: str | None) -> str:
    lines = [f"{key}: {value}" for key, value in (PBX | changed).items() if value is not None]
    return "  - " + "\n    ".join(lines) + "\n"


def parse(source: str) -> settings.Settings:
    return config.parse(source, "exporter.yml", BASE)


def only(source: str) -> settings.PBX:
    (pbx,) = parse(source).pbxs
    return pbx


def refusal(source: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(source)
    return caught.value


# What is accepted


def test_a_file_with_the_required_keys_only_gives_the_defaults() -> None:
    assert parse(text()) == settings.Settings(
        pbxs=(
            settings.PBX(
                name="hq",
                base_url="https://192.0.2.10:8088",
                client_id="UEnH9Dmv6uBJEXsY",
                secret=settings.SecretSource(value=Secret(CANARY)),
                api_path="openapi/v1.0",
                tls=settings.TLS(),
                poll_interval=30,
                request_timeout=30,
                start="now",
                stale_after=300,
                birth_hold=120,
                late_window=600,
                longest_call=11_700,
                call_settle=60,
                legs_appear="at_call_end",
                max_trunks=200,
                number_plan={
                    "extension": (("1000", "5999"),),
                    "parking": (("6000", "6099"),),
                    "group_voicemail": (("6100", "6199"),),
                    "ivr": (("6200", "6299"),),
                    "ring_group": (("6300", "6399"),),
                    "queue": (("6400", "6499"),),
                    "conference": (("6500", "6599"),),
                    "paging": (("6600", "6699"),),
                    "machine": (),
                },
                emergency_numbers=("112", "911"),
                timezone="UTC",
                dids={},
                queues={},
                destinations={},
            ),
        ),
        state_dir=BASE / "state",
        state_url_file=None,
        lease=30.0,
        machine_callees=(),
        hide_families=(),
        buckets=settings.Buckets(
            duration=(1, 5, 10, 15, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600, 7200),
            ring=(1, 2, 5, 10, 15, 20, 30, 45, 60, 120),
            wait=(1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800),
        ),
    )


def plan_with(**changed: Any) -> dict[str, Any]:
    return {**NUMBER_PLAN, **changed}


ADJUSTABLE = [
    pytest.param("poll_interval", "1m", 60, "15s", 15, id="poll_interval"),
    pytest.param("request_timeout", "10s", 10, "1m", 60, id="request_timeout"),
    pytest.param("start", "all", "all", "now", "now", id="start"),
    pytest.param("stale_after", "10m", 600, "1h30m", 5400, id="stale_after"),
    pytest.param("birth_hold", "1m", 60, "0s", 0, id="birth_hold"),
    pytest.param("late_window", "5m", 300, "1m", 60, id="late_window"),
    pytest.param("longest_call", "4h", 14_400, "2d", 172_800, id="longest_call"),
    pytest.param("call_settle", "30s", 30, "1h", 3600, id="call_settle"),
    pytest.param(
        "legs_appear", "one_by_one", "one_by_one", "at_call_end", "at_call_end", id="legs_appear"
    ),
    pytest.param(
        "number_plan",
        '{queue: ["70-79"]}',
        plan_with(queue=(("70", "79"),)),
        '{queue: ["80"]}',
        plan_with(queue=(("80", "80"),)),
        id="number_plan",
    ),
    pytest.param("emergency_numbers", '["110"]', ("110",), "[]", (), id="emergency_numbers"),
    pytest.param("max_trunks", "10", 10, "1", 1, id="max_trunks"),
]


@pytest.mark.parametrize(("key", "at_top", "top_value", "in_pbx", "pbx_value"), ADJUSTABLE)
def test_the_entry_of_a_pbx_overrides_the_top_of_the_file(
    key: str, at_top: str, top_value: object, in_pbx: str, pbx_value: object
) -> None:
    both = text(f"{key}: {at_top}", **{key: in_pbx}) + entry(name="branch", client_id="another")

    first, second = parse(both).pbxs

    assert getattr(first, key) == pbx_value
    assert getattr(second, key) == top_value


def test_every_setting_that_a_pbx_may_override_is_tested_above() -> None:
    assert [case.id for case in ADJUSTABLE] == list(declared(settings.Overridable))


@pytest.mark.parametrize(
    ("top", "changed", "expected"),
    [
        pytest.param("", {"poll_interval": "1s"}, 300, id="never_under_five_minutes"),
        pytest.param("", {"poll_interval": "2m"}, 480, id="four_times_its_own_interval"),
        pytest.param("poll_interval: 2m", {}, 480, id="four_times_the_common_interval"),
        pytest.param("poll_interval: 2m\nstale_after: 4m", {}, 240, id="twice_is_enough"),
        pytest.param("stale_after: 40s", {"poll_interval": "20s"}, 40, id="twice_its_own_interval"),
    ],
)
def test_stale_after_follows_the_poll_interval(
    top: str, changed: dict[str, str], expected: float
) -> None:
    assert only(text(top, **changed)).stale_after == expected


def test_buckets_are_set_one_by_one() -> None:
    buckets = parse(text("buckets: {ring: [3, 9]}")).buckets

    assert buckets == settings.Buckets(
        duration=settings.DURATION_BUCKETS, ring=(3, 9), wait=settings.WAIT_BUCKETS
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        pytest.param("[1, 60]", (1, 5, 20, 60), id="both_left_out"),
        pytest.param("[5, 60]", (5, 20, 60), id="one_left_out"),
        pytest.param("[20]", (5, 20), id="the_other_left_out"),
        pytest.param("[1, 5, 20]", (1, 5, 20), id="none_left_out"),
    ],
)
def test_waits_have_the_bounds_that_the_rules_read(written: str, meant: tuple[int, ...]) -> None:
    assert parse(text(f"buckets: {{wait: {written}}}")).buckets.wait == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        pytest.param("[]", (), id="none"),
        pytest.param("[IVR]", ("IVR",), id="one"),
        pytest.param("[Play Prompt, Türöffner]", ("Play Prompt", "Türöffner"), id="any_letters"),
        pytest.param(f"[{'x' * 64}]", ("x" * 64,), id="as_long_as_may_be"),
    ],
)
def test_machine_callees_are_those_written(written: str, meant: tuple[str, ...]) -> None:
    assert parse(text(f"machine_callees: {written}")).machine_callees == meant


def test_families_of_calls_and_rows_may_be_hidden() -> None:
    names = [family.name for family in TRAFFIC_FAMILIES]

    assert parse(text(f"hide_families: {names}")).hide_families == tuple(names)


def test_a_kind_of_number_that_a_pbx_does_not_give_is_that_of_the_file_or_the_default() -> None:
    plan = only(
        text(
            'number_plan: {extension: ["200-299", "2000"], queue: ["70-79"]}',
            number_plan='{queue: ["80-89"], machine: ["299"]}',
        )
    ).number_plan

    assert plan["extension"] == (("200", "299"), ("2000", "2000"))
    assert plan["queue"] == (("80", "89"),)
    assert plan["machine"] == (("299", "299"),)
    assert plan["ivr"] == (("6200", "6299"),)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "UTC", "Asia/Kolkata", "America/Argentina/Ushuaia", "Etc/GMT+1"]
)
def test_a_time_zone_is_a_name_of_the_database(zone: str) -> None:
    assert only(text(timezone=zone)).timezone == zone


@pytest.mark.parametrize(
    ("zone", "code"),
    [pytest.param("Asia/Tokyo", 0, id="known"), pytest.param("Tokyo", 2, id="not")],
)
def test_time_zones_are_known_where_the_system_has_none(
    tmp_path: Path, zone: str, code: int
) -> None:
    (tmp_path / "exporter.yml").write_text(text(timezone=zone), encoding="utf-8")

    checked = subprocess.run(
        [sys.executable, "-m", "cdr_exporter", "check", "--config.file", "exporter.yml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONTZPATH": ""},
        capture_output=True,
        check=False,
    )

    assert checked.returncode == code


def test_numbers_get_labels_and_may_share_one() -> None:
    numbers = '{"+49305551": sales, "+49305552": sales, "*31#": "Büro, 1. Stock", 0900: x}'

    pbx = only(text(dids=numbers, queues='{"6400": support}'))

    assert pbx.dids == {
        "+49305551": "sales",
        "+49305552": "sales",
        "*31#": "Büro, 1. Stock",
        "0900": "x",
    }
    assert pbx.queues == {"6400": "support"}


def test_destinations_are_prefixes_by_label() -> None:
    classes = '{premium: ["0900", "+49900"], Far away: ["00", "+"], service: [0800]}'

    assert only(text(destinations=classes)).destinations == {
        "premium": ("0900", "+49900"),
        "Far away": ("00", "+"),
        "service": ("0800",),
    }


@pytest.mark.parametrize("key", ["dids", "queues", "destinations"])
def test_an_empty_group_of_labels_is_the_same_as_none(key: str) -> None:
    assert only(text(**{key: "{}"})) == only(text())


@pytest.mark.parametrize(
    ("key", "written"),
    [
        pytest.param("dids", '{"1": a}', id="dids"),
        pytest.param("queues", '{"1": a}', id="queues"),
        pytest.param("destinations", '{a: ["1"]}', id="destinations"),
    ],
)
def test_labels_take_part_in_equality_and_cannot_be_changed(key: str, written: str) -> None:
    pbx = only(text(**{key: written}))

    assert pbx == only(text(**{key: written})) != only(text())
    assert hash(pbx) == hash(only(text()))
    with pytest.raises(TypeError):
        getattr(pbx, key)["2"] = "b"


@pytest.mark.parametrize("key", ["dids", "queues"])
def test_a_group_may_have_500_labels(key: str) -> None:
    numbers = {str(n): "x" * 64 for n in range(500)}

    assert getattr(only(text(**{key: yaml.safe_dump(numbers, default_flow_style=True)})), key) == (
        numbers
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        pytest.param("data", BASE / "data", id="relative_to_the_file"),
        pytest.param("/var/lib/cdr", Path("/var/lib/cdr"), id="absolute"),
    ],
)
def test_paths_start_at_the_directory_of_the_file(written: str, meant: Path) -> None:
    source = text(
        f"state_dir: {written}",
        client_secret=None,
        client_secret_file=written,
        tls=f"{{ca_file: {written}}}",
    )

    found = parse(source)

    assert found.state_dir == meant
    assert found.pbxs[0].secret == settings.SecretSource(file=meant)
    assert found.pbxs[0].tls == settings.TLS(ca_file=meant)


def test_the_file_of_the_url_may_be_one_of_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/cdr-exporter.service")

    found = parse(text("state_url_file: $CREDENTIALS_DIRECTORY/postgres\nlease: 2s"))

    assert found.state_url_file == Path("/run/credentials/cdr-exporter.service/postgres")
    assert found.lease == 2.0


OF_SYSTEMD = text(client_secret=None, client_secret_file="$CREDENTIALS_DIRECTORY/hq")


def test_a_path_may_begin_where_systemd_puts_the_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/cdr-exporter.service")

    secret = only(OF_SYSTEMD).secret

    assert secret.file == Path("/run/credentials/cdr-exporter.service/hq")


def test_without_systemd_it_is_said_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    error = refusal(OF_SYSTEMD)

    assert "client_secret_file: begins with $CREDENTIALS_DIRECTORY, which systemd sets" in str(
        error
    )
    assert "set it to the directory of the secrets" in str(error)


def test_a_secret_may_come_from_the_environment() -> None:
    secret = only(text(client_secret=None, client_secret_env="HQ_SECRET")).secret

    assert secret == settings.SecretSource(env="HQ_SECRET")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://pbx.example.org", "https://pbx.example.org"),
        ("https://PBX.example.org:8088/", "https://pbx.example.org:8088"),
        ("HTTPS://pbx_1", "https://pbx_1"),
        ("https://[2001:db8::1]:8088", "https://[2001:db8::1]:8088"),
        ("http://localhost:8088", "http://localhost:8088"),
        ("http://127.8.9.1:8088/", "http://127.8.9.1:8088"),
        ("http://[::1]:8088", "http://[::1]:8088"),
    ],
)
def test_a_base_url_is_scheme_host_and_port(written: str, meant: str) -> None:
    assert only(text(base_url=written)).base_url == meant


@pytest.mark.parametrize("written", ["/openapi/v1.0/", "openapi/v1.0", "openapi/v1.0/"])
def test_slashes_around_the_api_path_do_not_matter(written: str) -> None:
    assert only(text(api_path=written)).api_path == "openapi/v1.0"


@pytest.mark.parametrize("written", ["v2/openapi/v1.0", "pbx-v2.0/openapi/v1.0", "v20", "api"])
def test_an_api_path_may_hold_a_2_that_is_not_the_version_of_the_api(written: str) -> None:
    assert only(text(api_path=written)).api_path == written


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(FINGERPRINT, id="plain"),
        pytest.param(FINGERPRINT.upper(), id="upper_case"),
        pytest.param(":".join(re.findall("..", FINGERPRINT.upper())), id="as_openssl_prints_it"),
    ],
)
def test_a_fingerprint_may_be_written_as_any_tool_prints_it(written: str) -> None:
    tls = only(text(tls=f'{{fingerprint_sha256: "{written}"}}')).tls

    assert tls == settings.TLS(fingerprint_sha256=FINGERPRINT)


def test_what_is_switched_off_counts_as_not_written() -> None:
    tls = only(text(tls="{ca_file: /ca.pem, insecure_skip_verify: false}")).tls

    assert tls == settings.TLS(ca_file=Path("/ca.pem"))


@pytest.mark.parametrize("name", ["hq", "0", "A.b-c_d", "x" * 63])
def test_a_valid_name_is_accepted(name: str) -> None:
    assert only(text(name=f'"{name}"')).name == name


# What is refused: the file, the path to the mistake, what is wrong, what to do


def over(key: str, written: str, what: str, hint: str, *, id: str) -> Any:
    """A mistake in *key* of the one PBX."""
    pbx = "0" if key == "name" else "hq"
    return pytest.param(text(**{key: written}), f"pbxs[{pbx}].{key}", what, hint, id=id)


def top(line: str, path: str, what: str, hint: str, *, id: str) -> Any:
    """A mistake at the top of the file."""
    return pytest.param(text(line), path, what, hint, id=id)


def tls(written: str, path: str, what: str, hint: str, *, id: str, **changed: str) -> Any:
    """A mistake in the key `tls` of the one PBX."""
    return pytest.param(text(tls=written, **changed), f"pbxs[hq].{path}", what, hint, id=id)


def entry_of(key: str, written: str, what: str, hint: str, *, id: str) -> Any:
    """A mistake in an entry of *key* of the one PBX, whose own key is not shown."""
    return pytest.param(
        text(**{key: written}), f"pbxs[hq].{key}.<key on line 7>", what, hint, id=id
    )


UNIT = "write it with its unit, 30s"
QUOTES = "put it in quotes"
EMPTY = "is empty"
GIVE = "give it a value or remove the key"
UNKNOWN = "is an unknown key"
IP = "https://192.0.2.10:8088"

SHAPE = [
    pytest.param("", "", EMPTY, "writes one", id="empty_file"),
    pytest.param("# nothing\n", "", EMPTY, "writes one", id="only_comments"),
    pytest.param(f"- {CANARY}", "", "is a list where a group", "write its keys", id="a_list"),
    pytest.param(CANARY, "", "is text where a group", "write its keys", id="mere_text"),
    pytest.param("start: now", "pbxs", "is missing", "at least one PBX", id="no_pbxs"),
    pytest.param("pbxs: []", "pbxs", "has no PBX", "at least one PBX", id="empty_pbxs"),
    pytest.param("pbxs:", "pbxs", EMPTY, GIVE, id="pbxs_without_value"),
    pytest.param("pbxs: {}", "pbxs", "is a group of keys where a list", "hyphen", id="pbxs_keys"),
    pytest.param(f"pbxs: [{CANARY}]", "pbxs[0]", "is text where", "write its keys", id="pbx_text"),
    pytest.param("pbxs: [null]", "pbxs[0]", EMPTY, GIVE, id="pbx_null"),
    pytest.param(
        text() + entry(name=None, client_id="b"),
        "pbxs[1].name",
        "is missing",
        "metrics",
        id="no_name",
    ),
    pytest.param(
        text(base_url=None), "pbxs[hq].base_url", "is missing", "https://", id="no_base_url"
    ),
    pytest.param(
        text(client_id=None), "pbxs[hq].client_id", "is missing", "Integrations", id="no_client_id"
    ),
]

UNKNOWN_KEYS = [
    top("zzz: x", "zzz", UNKNOWN, "the keys here are poll_interval, ", id="not_ours"),
    top("buckets: {z: [1]}", "buckets.z", UNKNOWN, "duration, ring, wait", id="not_a_histogram"),
    *(
        top(f"{key}: x", key, UNKNOWN, "it belongs in pbxs[]", id=f"{key}_at_the_top")
        for key in ("timezone", "dids", "queues", "destinations")
    ),
    over("machine_callees", "[IVR]", UNKNOWN, "at the top of the file", id="callees_of_a_pbx"),
    over("client_secrets", CANARY, UNKNOWN, "did you mean client_secret?", id="one_letter_more"),
    over("pol_interval", "1s", UNKNOWN, "did you mean poll_interval?", id="one_letter_less"),
    tls("{ca_fil: x}", "tls.ca_fil", UNKNOWN, "did you mean ca_file?", id="misspelt_in_tls"),
    over("state_dir", "x", UNKNOWN, "it belongs at the top of the file", id="key_of_the_top"),
    over("ca_file", "x", UNKNOWN, "it belongs in pbxs[].tls", id="key_of_tls"),
    top("base_url: x", "base_url", UNKNOWN, "it belongs in pbxs[]", id="key_of_a_pbx"),
    top("poll-interval: 1s", "<key on line 1>", UNKNOWN, "mean poll_interval?", id="hyphen"),
    top("START: now", "<key on line 1>", UNKNOWN, "did you mean start?", id="upper_case"),
    top(f"{CANARY}: 1", "<key on line 1>", UNKNOWN, "the keys here", id="secret_as_a_key"),
    tls(f"{{{CANARY}}}", "tls.<key on line 7>", UNKNOWN, "the keys", id="secret_in_braces"),
    top(f"{'a' * 33}: 1", "<key on line 1>", UNKNOWN, "the keys here", id="long_key"),
]

TYPES = [
    over("client_id", "12345678", "is a whole number where text", QUOTES, id="numeric_id"),
    over("client_id", "1.5", "is a number with a fraction where", QUOTES, id="float_id"),
    over("client_id", "2026-01-02", "is a date where text", QUOTES, id="date_id"),
    over("client_id", "2026-13-45", "is text that YAML misreads", QUOTES, id="no_date_id"),
    over("client_id", "0x_", "is text that YAML misreads", QUOTES, id="no_number_id"),
    over("client_id", "", EMPTY, GIVE, id="null_id"),
    over("client_id", '""', EMPTY, GIVE, id="empty_id"),
    over("client_id", '" "', EMPTY, GIVE, id="blank_id"),
    over("client_id", '"a\\tb"', "holds a line break or", "remove it", id="tab_in_id"),
    over("client_id", '"a\\0b"', "holds a line break or", "remove it", id="nul_in_id"),
    over("client_id", '"a\\u200Bb"', "holds a line break or", "remove it", id="zero_width_in_id"),
    over("client_id", '"a\\uD800b"', "holds a line break or", "remove it", id="surrogate_in_id"),
    over("client_id", '" a"', "starts or ends with a space", "remove it", id="space_before_id"),
    over("client_secret", f"|\n      {CANARY}", "holds a line", "remove", id="secret_block"),
    over("client_secret", f'" {CANARY}"', "starts or ends", "remove", id="space_before_secret"),
    over("client_secret", '""', EMPTY, GIVE, id="empty_secret"),
    over("client_secret", "", EMPTY, GIVE, id="null_secret"),
    over("client_secret", "90210", "is a whole number where", QUOTES, id="numeric_secret"),
    over("client_secret", f"[{CANARY}]", "is a list where text", QUOTES, id="list_secret"),
    over("client_secret", f"{{x: {CANARY}}}", "is a group of", QUOTES, id="keys_secret"),
    pytest.param(
        text(client_secret=None, client_secret_file='""'),
        "pbxs[hq].client_secret_file",
        EMPTY,
        GIVE,
        id="empty_secret_file",
    ),
    over("name", "no", "is a yes or no where text", QUOTES, id="name_no"),
    over("tls", "[]", "is a list where a group of keys", "indented", id="tls_list"),
    tls("{insecure_skip_verify: 1}", "tls.insecure_skip_verify", "is a whole", "true", id="one"),
    over("max_trunks", '"5"', "is text where a whole number", "without quotes", id="quoted_int"),
    over("max_trunks", "5.0", "is a number with", "point", id="float_trunks"),
    over("max_trunks", "yes", "is a yes or no where", "without", id="yes_trunks"),
    top("start: on", "start", "is a yes or no where text", "now or all", id="start_on"),
    top("buckets: {ring: 5}", "buckets.ring", "is a whole", "hyphen", id="bucket_not_a_list"),
    top("buckets: {ring: [1.5]}", "buckets.ring[0]", "is a number", "point", id="half_second"),
    top("buckets: {ring: [1, 5s]}", "buckets.ring[1]", "is text", "unit", id="bucket_unit"),
    over("legs_appear", "on", "is a yes or no where", "at_call_end or one_by_one", id="legs_on"),
    over("timezone", "2", "is a whole number where text", QUOTES, id="zone_number"),
    top("number_plan: {phone: [x]}", "number_plan.phone", UNKNOWN, "keys here", id="plan_kind"),
    top('number_plan: {ivr: ["62xx"]}', "number_plan.ivr[0]", "is no range", "6400", id="range"),
    top('number_plan: {ivr: ["9-10"]}', "number_plan.ivr[0]", "does not go", "6400", id="digit"),
    top('number_plan: {ivr: ["12-10"]}', "number_plan.ivr[0]", "does not go", "6400", id="down"),
    top("number_plan: {ivr: [6200]}", "number_plan.ivr[0]", "is a whole", QUOTES, id="range_no"),
    top("emergency_numbers: [a]", "emergency_numbers[0]", "is not a number", "digits", id="sos"),
    top("machine_callees: IVR", "machine_callees", "is text where a list", "hyphen", id="no_list"),
    top("machine_callees: [IVR, 1]", "machine_callees[1]", "is a whole", QUOTES, id="callee_no"),
    top("machine_callees: [IVR, ~]", "machine_callees[1]", EMPTY, GIVE, id="callee_null"),
    top('machine_callees: ["a\\tb"]', "machine_callees[0]", "holds a", "remove", id="callee_tab"),
]

DURATIONS = [
    *(
        top(f"{key}: 30", key, "is a whole number where text", UNIT, id=f"bare_{key}")
        for key, setting in FILE.settings.items()
        if getattr(setting.kind, "show", None) is durations.format_duration
    ),
    over("poll_interval", "30.5", "is a number with a fraction", UNIT, id="bare_float"),
    over("poll_interval", "1:30", "is a whole number where", UNIT, id="minutes_and_seconds"),
    over("poll_interval", '"30"', "has no unit", "write 30s", id="quoted_number"),
    over("poll_interval", "30m1h", "has its units out of order", "1h30m", id="small_first"),
    over("poll_interval", "1m1m", "has its units out of order", "each once", id="unit_twice"),
    over("poll_interval", "1.5h", "has a fraction", "1h30m", id="fraction"),
    over("poll_interval", "-30s", "has a sign", "30s", id="negative"),
    over("poll_interval", "30 s", "is not a duration", "30s", id="space"),
    over("poll_interval", "30S", "is not a duration", "30s", id="capital"),
    over("poll_interval", "٣0s", "is not a duration", "30s", id="other_digits"),
    over("poll_interval", "half a minute", "is not a duration", "30s", id="words"),
    over("poll_interval", "1234567890s", "has a number", "larger unit", id="ten_digits"),
    over("poll_interval", "999ms", "is out of range", "1s to 1d", id="poll_too_often"),
    over("poll_interval", "0s", "is out of range", "1s to 1d", id="poll_zero"),
    over("poll_interval", "1d1ms", "is out of range", "1s to 1d", id="poll_too_rarely"),
    over("request_timeout", "500ms", "is out of range", "1s to 10m", id="timeout_too_short"),
    over("request_timeout", "11m", "is out of range", "1s to 10m", id="timeout_too_long"),
    top("birth_hold: 2d", "birth_hold", "is out of range", "0s to 1d", id="hold_too_long"),
    top("late_window: 59s", "late_window", "is out of range", "1m to 1d", id="window_too_short"),
    over("late_window", "25h", "is out of range", "1m to 1d", id="window_too_long"),
    over("longest_call", "59s", "is out of range", "1m to 2d", id="longest_too_short"),
    top("longest_call: 49h", "longest_call", "is out of range", "1m to 2d", id="longest_too_long"),
    over("longest_call", "never", "is not a duration", "30s, 5m", id="longest_that_is_none"),
    over("call_settle", "4s", "is out of range", "5s to 1h", id="settled_too_soon"),
    top("call_settle: 61m", "call_settle", "is out of range", "5s to 1h", id="settled_too_late"),
    top("stale_after: 0s", "stale_after", "is out of range", "2s to 4w", id="stale_zero"),
    top(
        "stale_after: 59s",
        "stale_after",
        "59s is less than twice poll_interval (30s)",
        "write 1m or more",
        id="stale_before_the_second_poll",
    ),
    pytest.param(
        text("stale_after: 5m", poll_interval="3m"),
        "stale_after",
        "5m is less than twice pbxs[hq].poll_interval (3m)",
        "write 6m or more",
        id="stale_before_the_second_poll_of_one_pbx",
    ),
    pytest.param(
        text("poll_interval: 3m", stale_after="5m"),
        "pbxs[hq].stale_after",
        "5m is less than twice poll_interval (3m)",
        "write 6m or more",
        id="one_pbx_stale_before_the_second_poll",
    ),
    pytest.param(
        text(poll_interval="3m", stale_after="5m"),
        "pbxs[hq].stale_after",
        "5m is less than twice poll_interval (3m)",
        "write 6m or more",
        id="stale_and_poll_of_one_pbx",
    ),
    pytest.param(
        text("poll_interval: 1ms", poll_interval="3m"),
        "poll_interval",
        "is out of range",
        "1s to 1d",
        id="wrong_at_the_top_though_overridden",
    ),
]

VALUES = [
    *(
        over("name", f'"{name}"', "is not a name", "1 to 63 of the characters", id=f"name_{id}")
        for id, name in {
            "slash": "a/b",
            "dot": ".",
            "hyphen": "-a",
            "space": "a b",
            "umlaut": "büro",
            "long": "x" * 64,
        }.items()
    ),
    pytest.param(
        text() + entry(name="branch", client_id="b") + entry(name="HQ", client_id="c"),
        "pbxs[2].name",
        "is the name of pbxs[0] too",
        "change it",
        id="same_name_in_capitals",
    ),
    over("start", "yesterday", "is not a known start", "write now or all", id="unknown_start"),
    top(
        "legs_appear: later",
        "legs_appear",
        "is not a known way",
        "at_call_end or",
        id="unknown_legs",
    ),
    top(
        f"machine_callees: [IVR, {'x' * 65}]",
        "machine_callees[1]",
        "is longer than 64 characters",
        "starts with",
        id="long_callee",
    ),
    top("buckets: {wait: []}", "buckets.wait", "has no bound", "at least", id="no_wait_bound"),
    top("buckets: {wait: [9, 7]}", "buckets.wait", "is not asc", "small", id="falling_waits"),
    over("max_trunks", "0", "is less than 1", "write how many", id="no_trunks"),
    over("max_trunks", "-1", "is less than 1", "write how many", id="negative_trunks"),
    top("buckets: {ring: []}", "buckets.ring", "has no bound", "at least one", id="no_bound"),
    top("buckets: {ring: [0, 1]}", "buckets.ring", "has a bound below 1", "from 1", id="zero"),
    top("buckets: {ring: [-1]}", "buckets.ring", "has a bound below 1", "from 1", id="minus"),
    top("buckets: {duration: [2, 1]}", "buckets.duration", "is not asc", "small", id="falling"),
    top("buckets: {duration: [1, 1]}", "buckets.duration", "is not asc", "once", id="twice"),
    top(
        "state_dir: ./a\nstate_url_file: b",
        "state_url_file",
        "and state_dir exclude each other",
        "keep one",
        id="two_states",
    ),
    top(
        f"state_url_file: postgresql://cdr:{CANARY}@db/cdr",
        "state_url_file",
        "is the URL itself",
        "write it into a file",
        id="url_for_its_file",
    ),
    top(
        f"state_url_file: host=db password={CANARY}",
        "state_url_file",
        "is the URL itself",
        "write it into a file",
        id="conninfo_for_its_file",
    ),
    top("lease: 30s", "lease", "is for replicas over a", "add state_url_file", id="idle_lease"),
    top(
        "state_url_file: b\nlease: 1s",
        "lease",
        "is out of range",
        "2s to 10m",
        id="lease_too_short",
    ),
    over("lease", "30s", UNKNOWN, "it belongs at the top of the file", id="lease_of_a_pbx"),
    top("state_dir: ~/state", "state_dir", "starts with ~", "whole path", id="tilde"),
    over("api_path", '"/"', "is not a path", "openapi/v1.0", id="api_path_slash"),
    over("api_path", "a//b", "is not a path", "openapi/v1.0", id="api_path_two_slashes"),
    over("api_path", "../admin", "is not a path", "openapi/v1.0", id="api_path_up"),
    over("api_path", "a/./b", "is not a path", "openapi/v1.0", id="api_path_here"),
    over("api_path", "api?x=1", "is not a path", "openapi/v1.0", id="api_path_query"),
    over("api_path", '"a b"', "is not a path", "openapi/v1.0", id="api_path_space"),
    over("api_path", "a%2e", "is not a path", "openapi/v1.0", id="api_path_percent"),
    *(
        over(
            "api_path",
            written,
            "is the path of version 2.0, which is another",
            "write openapi/v1.0",
            id=id,
        )
        for id, written in [
            ("api_path_2", "openapi/v2.0"),
            ("api_path_2_with_slashes", "/openapi/v2.0/"),
            ("api_path_2_with_its_list", "openapi/v2.0/cdr"),
            ("api_path_2_in_upper_case", "openapi/V2.0"),
            ("api_path_2_without_a_point", "openapi/v2"),
            ("api_path_2_of_a_later_minor", "openapi/v2.1"),
            ("api_path_2_behind_a_proxy", "pbx/v1/openapi/v2.0"),
        ]
    ),
]

HIDDEN = "hide_families: [cdr_calls_total, {}]"
FAMILIES_HIDDEN = [
    *(
        top(HIDDEN.format(written), "hide_families[1]", "is no metric of", hint, id=f"hide_{id}")
        for id, written, hint in [
            ("misspelt", "cdr_ring_seconds", "or cdr_ring_duration_seconds or"),
            (
                "by_a_series",
                "cdr_call_wait_seconds_bucket",
                "did you mean cdr_call_wait_seconds or",
            ),
            ("without_total", "cdr_did_calls", "did you mean cdr_did_calls_total or"),
            ("unlike_any", "up", "see docs/metrics.md for all"),
            ("secret", CANARY, "see docs/metrics.md for all"),
        ]
    ),
    *(
        top(
            HIDDEN.format(family.name),
            "hide_families[1]",
            "is about a PBX or the exporter, which alerts watch",
            "write metrics of calls or rows",
            id=f"hide_{family.name}",
        )
        for family in FAMILIES
        if family not in TRAFFIC_FAMILIES
    ),
    top("hide_families: all", "hide_families", "is text where a list", "hyphen", id="hide_all"),
]

ZONE = "is not a time zone of the IANA database"
ZONES = [
    over("timezone", f'"{written}"', ZONE, hint, id=f"zone_{id}")
    for id, written, hint in [
        ("misspelt", "Europe/Berlim", "did you mean Europe/Berlin?"),
        ("in_lower_case", "europe/berlin", "did you mean Europe/Berlin?"),
        ("city_alone", "Berlin", "did you mean Europe/Berlin?"),
        ("city_with_a_space", "New York", "did you mean America/New_York?"),
        ("region", "Europe", "write it as Europe/Berlin"),
        ("unlike_any", "xyzzy", "write it as Europe/Berlin"),
        ("secret", CANARY, "write it as Europe/Berlin"),
        ("of_the_machine", "localtime", "write it as Europe/Berlin"),
        ("offset", "+01:00", "as Europe/Berlin, or Etc/GMT-1, which is 1 h ahead of UTC"),
        ("offset_of_utc", "UTC+2", "as Europe/Berlin, or Etc/GMT-2, which is 2 h ahead of UTC"),
        ("offset_behind", "gmt -0500", "or Etc/GMT+5, which is 5 h behind UTC"),
        ("offset_without_a_zone", "+05:30", "write the zone of a city there, as Europe/Berlin"),
        ("offset_of_no_place", "GMT+99", "write the zone of a city there, as Europe/Berlin"),
        ("summer_time", "CEST", "did you mean Europe/Berlin?"),
        ("in_german", "mesz", "did you mean Europe/Berlin?"),
        ("of_windows", "W. Europe Standard Time", "did you mean Europe/Berlin?"),
        ("of_windows_in_england", "GMT Standard Time", "did you mean Europe/London?"),
        ("of_the_east_coast", "EDT", "did you mean America/New_York?"),
        ("country", "Germany", "did you mean Europe/Berlin?"),
        ("up", "../../etc/localtime", "write it as Europe/Berlin"),
        ("up_and_back", "Europe/../Europe/Berlin", "write it as Europe/Berlin"),
        ("absolute", "/usr/share/zoneinfo/Europe/Berlin", "write it as Europe/Berlin"),
        ("with_leap_seconds", "right/Europe/Berlin", "did you mean Europe/Berlin?"),
        ("of_the_shell", ":Europe/Berlin", "did you mean Europe/Berlin?"),
        ("long", "x" * 5000, "write it as Europe/Berlin"),
    ]
]

ENTRY = "<key on line 7>"
NO_NUMBER = "is not a number"
MANY = ", ".join(f'"{number}": x' for number in range(501))
LABELS = [
    *(
        over(key, written, what, hint, id=f"{key}_{id}")
        for key in ("dids", "queues")
        for id, written, what, hint in [
            ("list", "[]", "is a list where a group of keys", "indented"),
            ("null", "", EMPTY, GIVE),
            ("too_many", f"{{{MANY}}}", "has more than 500 entries", "worth a series"),
            ("whole_number", "{6400: a}", "the key on line 7 is not text", QUOTES),
            ("octal_number", "{0700: a}", "the key on line 7 is not text", QUOTES),
            ("number_with_plus", "{+49305551: a}", "the key on line 7 is not text", QUOTES),
        ]
    ),
    *(
        entry_of("dids", written, what, hint, id=f"did_{id}")
        for id, written, what, hint in [
            ("label_5", '{"1": a, "2": 5}', "is a whole number where text", QUOTES),
            ("label_no", '{"1": no}', "is a yes or no where text", QUOTES),
            ("label_list", '{"1": [a]}', "is a list where text", QUOTES),
            ("label_null", '{"1": }', EMPTY, GIVE),
            ("label_empty", '{"1": ""}', EMPTY, GIVE),
            ("label_space", '{"1": " a"}', "starts or ends with a space", "remove it"),
            ("label_tab", '{"1": "a\\tb"}', "holds a line break or", "remove it"),
            ("label_other", '{"1": other}', "is the label of all the rest", "another"),
            ("label_OTHER", '{"1": OTHER}', "is the label of all the rest", "another"),
            ("label_long", f'{{"1": {"x" * 65}}}', "is longer than 64 bytes", "shorter"),
            ("label_long_in_utf_8", f'{{"1": {"ü" * 33}}}', "is longer than 64 bytes", "shorter"),
            ("number_spaced", '{"+49 30 5551": a}', NO_NUMBER, "digits, +, * and # only"),
            ("number_of_letters", '{"x1": a}', NO_NUMBER, "digits, +, * and # only"),
            ("number_of_other_digits", '{"٣": a}', NO_NUMBER, "digits, +, * and # only"),
            ("number_after_a_space", '{" 1": a}', "starts or ends with a space", "remove it"),
            ("number_empty", '{"": a}', EMPTY, GIVE),
            ("no_space_after_colon", f"{{x1:{CANARY}}}", EMPTY, GIVE),
            ("number_twice", '{"1": a, "1": b}', "is written on line 7 and on line 7", "keep one"),
        ]
    ),
    pytest.param(
        text(dids='{sales: "1"}'), "pbxs[hq].dids.sales", NO_NUMBER, "digits", id="did_turned_round"
    ),
    *(
        pytest.param(
            text(destinations=written), f"pbxs[hq].destinations{path}", what, hint, id=f"class_{id}"
        )
        for id, written, path, what, hint in [
            ("list", "[]", "", "is a list where a group", "indented"),
            ("null", "", "", EMPTY, GIVE),
            ("prefix_alone", '{a: ["0"], b: "1"}', ".b", "is text where a list", "hyphen"),
            ("entry_null", "{a: }", ".a", EMPTY, GIVE),
            ("of_none", "{a: []}", ".a", "has no prefix", "at least one"),
            ("whole_number", '{a: ["1", 0700]}', ".a[1]", "is a whole number where", QUOTES),
            ("called_start", "{start: [5]}", ".start[0]", "is a whole number where", QUOTES),
            ("text_called_start", '{start: "5"}', ".start", "is text where a list", "hyphen"),
            ("prefix_null", '{"A 1": ["1", ~]}', f".{ENTRY}[1]", EMPTY, GIVE),
            ("prefix_of_letters", '{a: ["1", sip]}', ".a[1]", NO_NUMBER, "digits, +"),
            ("prefix_in_two", '{a: ["1", "2"], b: ["2"]}', ".b[0]", "is the same as", "keep one"),
            ("prefix_twice", '{a: ["1", "1"]}', ".a[1]", "is the same as", "keep one"),
            (
                "prefix_in_two_unnamed",
                '{A 1: ["1"], A 2: ["1"]}',
                f".{ENTRY}[0]",
                "is the same as",
                "keep one",
            ),
            ("other", '{other: ["1"]}', ".other", "is the label of all", "write another"),
            ("long", f'{{{"x" * 65}: ["1"]}}', f".{ENTRY}", "is longer than 64", "shorter"),
            ("key_number", '{1: ["1"]}', "", "the key on line 7 is not text", QUOTES),
            (
                "too_many",
                f"{{{', '.join(f'x{n}: []' for n in range(501))}}}",
                "",
                "has more than 500 entries",
                "worth a series",
            ),
        ]
    ),
]

SECRETS = [
    pytest.param(
        text(client_secret=None),
        "pbxs[hq]",
        "has no client secret",
        "set one of client_secret_file, client_secret_env, client_secret",
        id="none",
    ),
    pytest.param(
        text(client_secret_env="X"),
        "pbxs[hq]",
        "client_secret_env and client_secret say the same thing",
        "keep one",
        id="two",
    ),
    pytest.param(
        text(client_secret_env="X", client_secret_file="x"),
        "pbxs[hq]",
        "client_secret_file and client_secret_env and client_secret say",
        "keep one",
        id="three",
    ),
    pytest.param(
        text(client_secret=None, client_secret_env=f"${CANARY}"),
        "pbxs[hq].client_secret_env",
        "is not the name of an environment variable",
        "without $",
        id="dollar",
    ),
    pytest.param(
        text(client_secret=None, client_secret_file="~/hq"),
        "pbxs[hq].client_secret_file",
        "starts with ~",
        "write the whole path",
        id="file_at_home",
    ),
]

URLS = [
    over("base_url", url, what, hint, id=f"url_{id}")
    for id, url, what, hint in [
        ("without_scheme", "pbx.example:8088", "does not start with", "https://192"),
        ("bare_address", "192.0.2.10", "does not start with", "https://192"),
        ("ftp", "ftp://192.0.2.10", "does not start with", "https://192"),
        ("one_slash", "https:/192.0.2.10", "does not start with", "https://192"),
        ("no_host", "https://", "does not start with", "https://192"),
        ("user_info", f"https://admin:{CANARY}@192.0.2.10", "holds user info", "up to the @"),
        ("user", "https://admin@192.0.2.10", "holds user info", "up to the @"),
        ("query", f"{IP}/?secret={CANARY}", "has a query or a fragment", "from the ? or #"),
        ("empty_query", f"{IP}?", "has a query or a fragment", "from the ? or #"),
        ("fragment", f"{IP}/#x", "has a query or a fragment", "from the ? or #"),
        ("path", f"{IP}/openapi/v1.0", "has a path", "as api_path"),
        ("two_slashes", f"{IP}//", "has a path", "as api_path"),
        ("port_only", "https://:8088", "has no usable host", "in brackets"),
        ("open_bracket", f"https://[{CANARY}", "has no usable host", "in brackets"),
        ("no_address", f"https://[{CANARY}]", "has no usable host", "in brackets"),
        ("after_bracket", "https://[::1]x:80", "has no usable host", "in brackets"),
        ("no_brackets", "https://::1", "has no usable host", "in brackets"),
        ("bad_address", "https://192.0.2.300", "has no usable host", "in brackets"),
        ("backslash", "https://a\\b", "has no usable host", "in brackets"),
        ("space", "https://a b", "has no usable host", "in brackets"),
        ("umlaut", "https://büro.example", "has no usable host", "in brackets"),
        ("wide_slash", "https://a\uff0fb", "has no usable host", "in brackets"),
        ("hyphen_first", "https://-a", "has no usable host", "in brackets"),
        ("word_as_port", "https://a:https", "has no usable port", "1 to 65535"),
        ("port_zero", "https://a:0", "has no usable port", "1 to 65535"),
        ("port_too_high", "https://a:65536", "has no usable port", "1 to 65535"),
        ("no_port", '"https://a:"', "has no usable port", "1 to 65535"),
        ("http", "http://192.0.2.10", "is http:// to another", "tls.allow_plaintext: true"),
        ("http_name", "http://localhost.example", "is http:// to another", "write https://"),
        ("http_odd", "http://[::ffff:1.2.3.4]", "is http:// to another", "write https://"),
    ]
]

NO_EFFECT = "has no effect on http://"
TRUST = [
    tls(
        f"{{ca_file: x, fingerprint_sha256: {FINGERPRINT}}}",
        "tls",
        "ca_file and fingerprint_sha256 exclude each other",
        "keep one",
        id="ca_and_fingerprint",
    ),
    tls(
        "{ca_file: x, insecure_skip_verify: true}",
        "tls",
        "ca_file and insecure_skip_verify exclude each other",
        "keep one",
        id="ca_and_anybody",
    ),
    *(
        tls(
            f"{{{key}: {value}}}",
            f"tls.{key}",
            NO_EFFECT,
            "write https:// in base_url",
            id=f"{key}_in_clear",
            base_url="HTTP://localhost",
        )
        for key, value in {
            "ca_file": "x",
            "fingerprint_sha256": FINGERPRINT,
            "insecure_skip_verify": "true",
        }.items()
    ),
    *(
        tls(
            f'{{fingerprint_sha256: "{written}"}}',
            "tls.fingerprint_sha256",
            "is not a SHA-256 fingerprint",
            "write 64 hex digits",
            id=f"fingerprint_{id}",
        )
        for id, written in {
            "short": FINGERPRINT[:-1],
            "sha1": FINGERPRINT[:40],
            "other_letters": "g" * 64,
            "with_its_title": f"sha256 Fingerprint={FINGERPRINT}",
        }.items()
    ),
    tls(
        f"{{fingerprint_sha256: {'1' * 64}}}",
        "tls.fingerprint_sha256",
        "is a whole number where text is expected",
        QUOTES,
        id="fingerprint_of_digits",
    ),
    tls('{fingerprint_sha256: ""}', "tls.fingerprint_sha256", EMPTY, GIVE, id="no_fingerprint"),
    tls("{ca_file: ~/ca}", "tls.ca_file", "starts with ~", "whole path", id="ca_at_home"),
]

NOT_YAML = "is not valid YAML here"
SYNTAX = [
    top("a: b: c", "line 1, column 5", NOT_YAML, 'quote text that holds ": "', id="two_colons"),
    pytest.param(
        text(client_secret=f"{CANARY}: {CANARY}"),
        "line 6, column 47",
        NOT_YAML,
        'quote text that holds ": "',
        id="secret_with_colon",
    ),
    pytest.param(
        text(client_secret=f"*{CANARY}"),
        "line 6, column 20",
        NOT_YAML,
        'quote text that starts with "*"',
        id="secret_like_an_alias",
    ),
    pytest.param(
        text(client_secret=f"@{CANARY}"),
        "line 6, column 20",
        NOT_YAML,
        "quote text that starts with a special character",
        id="secret_with_at_sign",
    ),
    pytest.param(
        text(client_secret=f"'{CANARY}"),
        "line 7, column 1",
        NOT_YAML,
        "close the quotation mark",
        id="open_quote",
    ),
    pytest.param(
        text(client_secret=f'"{CANARY}\\q"'),
        "line 6, column 49",
        NOT_YAML,
        "single quotes",
        id="backslash",
    ),
    pytest.param(
        text(client_secret=f"!{CANARY} x"),
        "pbxs[hq].client_secret",
        "has a YAML tag",
        "in quotes",
        id="secret_like_a_tag",
    ),
    pytest.param(
        text().replace("client_secret: ", "client_secret:"),
        "line 7, column 1",
        NOT_YAML,
        "a colon and a space after each key",
        id="no_space_after_colon",
    ),
    pytest.param(
        text(tls=f"{{client_secret:{CANARY}}}"),
        "pbxs[hq].tls",
        "the key on line 7 has characters no key has",
        "write a space after its colon",
        id="no_space_after_colon_in_braces",
    ),
    pytest.param("pbxs:\n\t- x", "line 2, column 1", NOT_YAML, "spaces, not with tabs", id="tab"),
    pytest.param("pbxs: [", "line 1, column 8", NOT_YAML, "brackets", id="open_bracket"),
    pytest.param(
        text() + f"--- {CANARY}\n", "line 7, column 1", NOT_YAML, "keep one", id="two_documents"
    ),
    pytest.param(
        f"start: now\n# {CANARY}\x07", "line 2", "holds a control", "remove", id="control"
    ),
    pytest.param("[" * 9000, "", "is nested too deeply", "brackets", id="deep"),
    top("start: now\nstart: all", "start", "is written on line 1 and on line 2", "one", id="dup"),
    pytest.param(
        text().rstrip() + f"\n    name: {CANARY}",
        "pbxs[hq].name",
        "is written on line 3 and on line 7",
        "keep one",
        id="duplicate_in_a_pbx",
    ),
    pytest.param("1: x", "", "the key on line 1 is not text", QUOTES, id="number_as_key"),
    pytest.param("? [a]\n: x", "", "the key on line 1 is not text", QUOTES, id="list_as_key"),
    pytest.param(
        text(client_secret=f"&first {CANARY}")
        + entry(name="branch", client_id="b", client_secret="*first"),
        "pbxs[branch].client_secret",
        "is a YAML alias",
        "write the value out",
        id="alias",
    ),
    pytest.param(
        "pbxs: &loop [*loop]", "pbxs[0]", "is a YAML alias", "write the value out", id="loop"
    ),
    pytest.param(
        text().rstrip() + f"\n    <<: {{client_secret: {CANARY}}}",
        "pbxs[hq].<key on line 7>",
        "has the merge key",
        "write the keys out",
        id="merge",
    ),
    over("client_id", "!!int abc", "is text that YAML misreads", QUOTES, id="no_int"),
    over("client_id", "!!timestamp abc", "is text that YAML", QUOTES, id="no_timestamp"),
    over("client_id", "!!bool abc", "is text that YAML misreads", QUOTES, id="no_bool"),
    over("client_id", "!!map abc", "is text that YAML misreads", QUOTES, id="no_map"),
    over("client_id", "!!python/name:os.system x", "has a YAML tag", "remove it", id="python"),
    over("client_id", "=", "has a YAML tag", "in quotes", id="equals_sign"),
]

MISTAKES = [
    *SHAPE,
    *UNKNOWN_KEYS,
    *TYPES,
    *DURATIONS,
    *VALUES,
    *FAMILIES_HIDDEN,
    *ZONES,
    *LABELS,
    *SECRETS,
    *URLS,
    *TRUST,
    *SYNTAX,
]


@for_each(MISTAKES)
def test_a_mistake_is_one_line_that_says_where_what_and_what_to_do(
    source: str, path: str, what: str, hint: str
) -> None:
    (line,) = str(refusal(source)).split("\n")

    assert line.startswith(f"exporter.yml: {path}: {what}" if path else f"exporter.yml: {what}")
    assert hint in line.partition("; ")[2]
    assert line.isprintable()


@pytest.mark.fault("G2")
@for_each(pytest.param(case.values[0], id=case.id) for case in MISTAKES)
def test_no_mistake_shows_the_secret(source: str) -> None:
    error = refusal(source)

    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert CANARY not in shown
    # The exception behind it quotes the file.
    assert error.__context__ is None
    assert error.__cause__ is None


def test_most_of_these_files_hold_the_secret() -> None:
    holding = [case for case in MISTAKES if CANARY in str(case.values[0])]

    assert len(holding) > 0.8 * len(MISTAKES)


# Several mistakes at once


SEVERAL = """\
poll_interval: 30
pol_interval: 1s
hide_families: [up, cdr_calls_total]
pbxs:
  - name: hq
    base_url: 192.0.2.10
    client_id: ""
    clientsecret: {canary}
    timezone: CEST
    tls: {{ca_file: ~/ca, insecure_skip_verify: 1}}
  - {{name: branch, base_url: 'https://192.0.2.11', client_id: x, client_id: y, dids: {{1: a, x: b}}
    }}
  - {{name: Branch, base_url: 'https://192.0.2.11'}}
  - {{client_secret: {canary}, 5: 6}}
"""

TOLD = """\
poll_interval: is a whole number where text is expected; write it with its unit
pol_interval: is an unknown key; did you mean poll_interval?
hide_families[0]: is no metric of calls or rows
pbxs[hq]: has no client secret
pbxs[hq].base_url: does not start with https://
pbxs[hq].client_id: is empty
pbxs[hq].clientsecret: is an unknown key; did you mean client_secret?
pbxs[hq].timezone: is not a time zone of the IANA database; did you mean Europe/Berlin?
pbxs[hq].tls.ca_file: starts with ~
pbxs[hq].tls.insecure_skip_verify: is a whole number
pbxs[1].client_id: is written on line 11 and on line 11
pbxs[1].dids: the key on line 11 is not text
pbxs[1].dids.x: is not a number
pbxs[1]: has no client secret
pbxs[2].client_id: is missing
pbxs[2]: has no client secret
pbxs[2].name: is the name of pbxs[1] too
pbxs[3]: the key on line 14 is not text
"""


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    lines = str(refusal(SEVERAL.format(canary=CANARY))).split("\n")
    told = [line.removeprefix("exporter.yml: ") for line in lines]

    assert [
        line[: len(expected)] for line, expected in zip(told, TOLD.splitlines(), strict=False)
    ] == TOLD.splitlines()
    assert len(told) == len(TOLD.splitlines())


def test_of_many_mistakes_the_first_twenty_are_told() -> None:
    told = str(refusal("".join(f"a{'b' * n}: 1\n" for n in range(25)))).split("\n")

    assert len(told) == 21
    assert told[-1] == "exporter.yml: 6 more mistakes; correct these first"


def test_what_is_wrong_for_every_pbx_is_told_once() -> None:
    told = str(refusal(text("stale_after: 5s") + entry(name="branch", client_id="b"))).split("\n")

    assert [line.partition(" less than")[0] for line in told] == [
        "exporter.yml: stale_after: 5s is"
    ]


def test_of_exactly_twenty_mistakes_all_are_told() -> None:
    told = str(refusal("".join(f"a{'b' * n}: 1\n" for n in range(19)))).split("\n")

    assert len(told) == 20
    assert "more mistakes" not in told[-1]


def test_text_that_is_nested_too_deeply_for_us_alone_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_deep(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(yaml_text._YAMLReader, "_value", too_deep)

    assert str(refusal(text())).startswith("exporter.yml: is nested too deeply")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        pytest.param(["hq", "branch"], "pbxs[branch]", id="by_its_name"),
        pytest.param(["hq", "HQ"], "pbxs[1]", id="by_its_number_where_two_have_the_name"),
        pytest.param(["hq", '"7"'], "pbxs[1]", id="by_its_number_where_the_name_looks_like_one"),
        pytest.param(["hq", "a/b"], "pbxs[1]", id="by_its_number_where_the_name_is_none"),
        pytest.param(["hq", CANARY], "pbxs[1]", id="by_its_number_where_it_may_be_a_secret"),
        pytest.param(["hq", CANARY[4:]], "pbxs[1]", id="by_its_number_where_it_may_be_a_part"),
        pytest.param(["hq", CANARY[:13]], "pbxs[1]", id="by_its_number_where_it_looks_made_up"),
        pytest.param(["hq", f"q-{CANARY[:13]}"], "pbxs[1]", id="by_its_number_where_a_part_does"),
        pytest.param(["hq", "HauptverwaltungMitte"], "pbxs[HauptverwaltungMitte]", id="by_words"),
        pytest.param(["hq", "x" * 25], "pbxs[1]", id="by_its_number_where_the_name_is_long"),
        pytest.param(["hq", "Branch-Office-2"], "pbxs[Branch-Office-2]", id="by_a_long_name"),
        pytest.param(["hq", None], "pbxs[1]", id="by_its_number_without_a_name"),
    ],
)
def test_a_pbx_is_named_in_the_path(names: list[str | None], shown: str) -> None:
    entries = "".join(entry(name=name, timezone="X" if name != "hq" else None) for name in names)
    told = str(refusal("pbxs:\n" + entries))

    assert f"exporter.yml: {shown}.timezone: is not a time zone" in told
    assert CANARY not in told


PIECES = [CANARY[at : at + 6] for at in range(len(CANARY) - 5)]


@given(
    st.integers(0, len(text())),
    st.integers(0, 3),
    st.text("\"'\n\t :-#{}[]*&!%@|>,?<\\x", max_size=4),
)
@example(len(text()) - len(CANARY) - 2, 1, "")
def test_no_typing_error_shows_the_secret(at: int, gone: int, added: str) -> None:
    source = text(tls="{}")
    try:
        parse(source[:at] + added + source[at + gone :])
    except ConfigError as error:
        message = str(error)
        assert all(line.isprintable() for line in message.split("\n"))
        assert [piece for piece in PIECES if piece in message] == []


@given(st.text())
def test_any_text_raises_a_config_error_and_nothing_else(source: str) -> None:
    assert str(refusal(source)).startswith("exporter.yml: ")


# What is allowed but unsafe


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, [], id="https"),
        pytest.param({"base_url": "http://127.0.0.1"}, [], id="http_to_this_machine"),
        pytest.param(
            {"tls": "{insecure_skip_verify: true}"},
            ["pbx hq: tls.insecure_skip_verify accepts any certificate"],
            id="anybody_believed",
        ),
        pytest.param(
            {"base_url": "http://192.0.2.10", "tls": "{allow_plaintext: true}"},
            ["pbx hq: base_url is http:// to another machine"],
            id="http_to_another_machine",
        ),
    ],
)
def test_a_setting_that_is_allowed_but_unsafe_is_warned_about(
    changed: dict[str, str], expected: list[str]
) -> None:
    warned = config.warnings(parse(text(**changed)))

    assert [line.partition(",")[0].partition(";")[0] for line in warned] == expected


def test_each_unsafe_pbx_is_named() -> None:
    careless = "{insecure_skip_verify: true}"
    source = (
        text(tls=careless)
        + entry(name="good", client_id="b")
        + entry(name="branch", client_id="c", tls=careless)
    )

    assert [line.split(":")[0] for line in config.warnings(parse(source))] == [
        "pbx hq",
        "pbx branch",
    ]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://PBX.example", id="same"),
        pytest.param("https://pbx.example:443", id="with-the-default-port"),
        pytest.param("https://pbx.example./", id="with-a-dot-at-the-end"),
    ],
)
def test_two_entries_of_one_account_of_a_pbx_are_refused(url: str) -> None:
    first = text(base_url="https://pbx.example")
    error = str(refusal(first + entry(name="again", base_url=url)))

    assert "pbxs[again]: has host, port and client_id of pbxs[hq] too" in error
    assert "UEnH9Dmv6uBJEXsY" not in error
    assert len(parse(first + entry(name="b", base_url=url, client_id="another")).pbxs) == 2
    assert len(parse(first + entry(name="b", base_url="https://pbx.example:444")).pbxs) == 2


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param('"a b"', "holds a blank", id="blank"),
        pytest.param('"a\\u2011b"', "holds a blank", id="typographic-dash"),
        pytest.param("a" * 257, "is longer than 256", id="too-long"),
        pytest.param('"a\\x01b"', "an invisible character; remove it", id="control"),
        pytest.param('"\\ufeffa"', "an invisible character; remove it", id="byte-order-mark"),
        pytest.param('"a "', "starts or ends", id="blank-at-the-end"),
    ],
)
def test_what_cannot_be_a_client_id_is_refused(written: str, said: str) -> None:
    error = str(refusal(text(client_id=written)))

    assert error.startswith("exporter.yml: pbxs[hq].client_id: ")
    assert said in error


# The file itself


def test_a_file_is_loaded_with_paths_from_its_directory(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text(text(), encoding="utf-8")

    loaded = config.load(file)

    assert loaded == config.parse(text(), "exporter.yml", tmp_path)


def test_the_working_directory_matters_only_for_finding_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/exporter.yml").write_text(text(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    loaded = config.load(Path("etc/exporter.yml"))

    assert loaded.state_dir == tmp_path / "etc/state"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text(text(), encoding="utf-8-sig")

    assert config.load(file).pbxs[0].name == "hq"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(None, "there is no such file; name another with", id="missing"),
        pytest.param(b"pbxs:\n\t- x", "line 2, column 1: is not valid YAML", id="tabs"),
        pytest.param("pbxs: []".encode("utf-16"), "line 1: is not UTF-8; save", id="utf_16"),
        pytest.param(b"\x7fELF\0", "line 1: holds a control character", id="a_program"),
        pytest.param(b"start: now\n# \xe9", "line 2: is not UTF-8; save the file", id="latin_1"),
        pytest.param(b"#" * (2**20 + 1), "is larger than 1 MiB; name the right file", id="huge"),
        pytest.param(b"start: never", "pbxs: is missing; add a list", id="wrong"),
        pytest.param(
            b"",
            "is empty; begin with an example: cdr-exporter dashboards --output DIR writes one",
            id="empty",
        ),
    ],
)
def test_the_error_names_the_file(tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "exporter.yml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=f"^{re.escape(f'{file}: {expected}')}"):
        config.load(file)


def test_a_file_that_is_not_there_is_said_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        config.load(Path("exporter.yml"))

    assert str(caught.value) == (
        f"exporter.yml: there is no such file in {tmp_path}; name another with --config.file, or "
        "begin with an example: cdr-exporter dashboards --output DIR writes one"
    )


def test_a_file_is_missing_too_where_the_directory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(ConfigError, match="there is no such file; name another"):
        config.load(Path("exporter.yml"))


def test_a_file_that_may_not_be_read_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who runs the tests may be root, to whom no file is closed.
    def refused(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)

    with pytest.raises(ConfigError, match=r"may not be read; give the user this program runs as"):
        config.load(tmp_path / "exporter.yml")


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory; name the file in it"):
        config.load(tmp_path)


def test_a_path_through_a_file_is_refused_in_the_system_s_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot be read; Not a directory"):
        config.load(tmp_path / "file" / "exporter.yml")


def test_a_file_of_exactly_one_mebibyte_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text(text().ljust(2**20, "#").replace("##", "\n#", 1), encoding="utf-8")

    assert file.stat().st_size == 2**20
    assert config.load(file).pbxs[0].name == "hq"


# The shipped example. A setting that is off has "#" right before its key; deeper lines are its own.

SETTING = re.compile(r"( *)#([a-z].*)")
MORE = re.compile(r"( *)#( {2,}\S.*)")
INSTEAD = re.compile(r"# instead of (\w+)$")


NEEDS = {"lease": "state_url_file"}
"""Settings of the top that are refused without another one."""


def commented() -> list[list[int]]:
    """Return the line numbers of each setting that is off, with its deeper lines."""
    blocks: list[list[int]] = []
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if SETTING.fullmatch(line):
            blocks.append([number])
        elif blocks and blocks[-1][-1] == number - 1 and MORE.fullmatch(line):
            blocks[-1].append(number)
    return blocks


def switched_on(*blocks: list[int]) -> str:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for number in [number for block in (*needed_by(*blocks), *blocks) for number in block]:
        lines[number] = re.sub(r"^( *)#", r"\1", lines[number])
        if instead := INSTEAD.search(lines[number]):
            lines = [re.sub(rf"^ *{instead[1]}:.*", "", line) for line in lines]
    return "\n".join(lines)


def needed_by(*blocks: list[int]) -> list[list[int]]:
    needed = {NEEDS.get(label(block).partition(":")[0]) for block in blocks}
    return [
        block
        for block in commented()
        if label(block).partition(":")[0] in needed and block not in blocks
    ]


def label(block: list[int]) -> str:
    return SHIPPED.read_text(encoding="utf-8").splitlines()[block[0]].strip(" #")[:40]


def test_the_shipped_example_is_valid() -> None:
    loaded = config.load(SHIPPED)

    assert [pbx.name for pbx in loaded.pbxs] == ["hq"]
    assert config.warnings(loaded) == []


@for_each(pytest.param(block, id=label(block)) for block in commented())
def test_each_commented_setting_of_the_example_can_be_switched_on(block: list[int]) -> None:
    before = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    source = switched_on(block)

    assert config.parse(source, "exporter.yml", BASE).pbxs[0].name == "hq"
    assert yaml.safe_load(source) != before


@for_each(pytest.param(block, id=label(block)) for block in commented())
def test_what_the_example_calls_a_default_is_one(block: list[int]) -> None:
    line = SHIPPED.read_text(encoding="utf-8").splitlines()[block[0]]
    at_top = line.startswith("#") and not INSTEAD.search(line)
    is_default = at_top or "api_path" in line

    changes = parse(switched_on(block)) != parse(switched_on(*needed_by(block)))

    assert changes is not is_default


def test_all_settings_of_the_example_can_be_switched_on_together() -> None:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    together = [
        block
        for block in commented()
        if not INSTEAD.search(lines[block[0]])
        and "#tls:" not in lines[block[0]]
        and label(block).partition(":")[0] not in NEEDS
    ]

    loaded = parse(switched_on(*together))

    assert loaded.pbxs[0].max_trunks == 50
    assert (loaded.pbxs[0].late_window, loaded.pbxs[0].longest_call) == (300, 14_400)
    assert loaded.pbxs[0].destinations.keys() == {"premium", "international"}
    assert loaded.pbxs[0].dids.keys() == {"+49305551", "+49305552"}
    assert loaded.pbxs[0].queues.keys() == {"6400"}


@for_each(
    pytest.param(place, set(group.settings), id=place or "top")
    for place, group in EXPORTER_YML.kinds.items()
    if isinstance(group, Group)
)
def test_the_example_shows_every_key_there_is(place: str, known: set[str]) -> None:
    everything: dict[str, set[str]] = {}
    for block in commented():
        gather(yaml.safe_load(switched_on(block)), "", everything)

    # What the plan of a PBX may hold is shown at the top of the file.
    assert everything[place.removeprefix("pbxs[].") if "plan" in place else place] == known


def gather(value: object, place: str, found: dict[str, set[str]]) -> None:
    if isinstance(value, dict):
        found.setdefault(place, set()).update(value)
        for key, inner in value.items():
            gather(inner, f"{place}.{key}".lstrip("."), found)
    if isinstance(value, list):
        for inner in value:
            gather(inner, f"{place}[]", found)


# Durations


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("100ms", 0.1),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1y", 31_536_000),
        ("1y2w3d4h5m6s7ms", 31_536_000 + 2 * 604_800 + 3 * 86_400 + 4 * 3600 + 306.007),
        ("90m", 5400),
        ("0s", 0),
    ],
)
def test_durations_are_those_of_prometheus(written: str, seconds: float) -> None:
    assert durations.parse_duration(written) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.1, "100ms"),
        (90, "1m30s"),
        (3600, "1h"),
        (86_400, "1d"),
        (694_861, "1w1d1h1m1s"),
    ],
)
def test_durations_are_formatted_in_the_shortest_form(seconds: float, written: str) -> None:
    assert durations.format_duration(seconds) == written


@given(st.integers(0, 10**15))
def test_a_formatted_duration_is_parsed_to_the_same_value(milliseconds: int) -> None:
    seconds = milliseconds / 1000

    assert durations.parse_duration(durations.format_duration(seconds)) == seconds


def test_no_duration_is_below_zero() -> None:
    with pytest.raises(ValueError, match="not below zero"):
        durations.format_duration(-1)


@pytest.mark.parametrize("written", ["", "30", "s", "1h 30m", "30s\n", "1m1h", "30S", "½h"])
def test_what_prometheus_would_not_read_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="; write "):
        durations.parse_duration(written)
