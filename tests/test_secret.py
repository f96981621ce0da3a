from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable

import msgspec
import pytest

from cdr_exporter.secret import Secret

CANARY = "hunter2-canary"


@dataclasses.dataclass
class Holder:
    secret: Secret


@pytest.mark.fault("G2")
@pytest.mark.parametrize(
    "show",
    [
        pytest.param(str, id="str"),
        pytest.param(repr, id="repr"),
        pytest.param(ascii, id="ascii"),
        pytest.param("{}".format, id="format"),
        pytest.param("{:>40}".format, id="format with a width"),
        pytest.param("{!r}".format, id="format of the repr"),
        pytest.param(lambda secret: "%s %r" % (secret, secret), id="percent"),  # noqa: UP031
        pytest.param(lambda secret: f"{secret}", id="f-string"),
        pytest.param(lambda secret: repr([secret, {secret: secret}]), id="in a container"),
        pytest.param(lambda secret: repr(Holder(secret)), id="in a dataclass"),
        pytest.param(lambda secret: str(ValueError(secret)), id="in an exception"),
    ],
)
def test_every_way_of_showing_a_secret_hides_it(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(CANARY))

    assert "<secret>" in shown
    assert CANARY not in shown


def test_a_traceback_with_its_variables_hides_it() -> None:
    def fail(held: Secret) -> None:
        raise ValueError(held)

    try:
        fail(Secret(CANARY))
    except ValueError as error:
        shown = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )

    assert "held = <secret>" in shown
    assert CANARY not in shown


def test_a_log_line_hides_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("a test").warning("with %s and %r", Secret(CANARY), Secret(CANARY))

    assert caplog.messages == ["with <secret> and <secret>"]


@pytest.mark.parametrize(
    "take",
    [
        pytest.param(pickle.dumps, id="pickle"),
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(lambda secret: dataclasses.asdict(Holder(secret)), id="asdict"),
        pytest.param(json.dumps, id="json"),
        pytest.param(msgspec.json.encode, id="msgspec"),
        pytest.param(vars, id="vars"),
    ],
)
def test_a_secret_cannot_be_taken_along(take: Callable[[object], object]) -> None:
    with pytest.raises(TypeError) as refused:
        take(Secret(CANARY))

    assert CANARY not in str(refused.value)


def test_reveal_is_the_way_in() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_secrets_are_equal_when_their_values_are() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert hash(Secret("a")) != hash("a")


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret(" ")
