from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.web.accept import wants_openmetrics

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.7"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param(PROMETHEUS_2, id="Prometheus 2"),
        pytest.param(PROMETHEUS_3, id="Prometheus 3"),
        pytest.param(PROTOBUF_FIRST, id="Prometheus with native histograms"),
        pytest.param("application/openmetrics-text", id="any version"),
        pytest.param("Application/OpenMetrics-Text; Version=1.0.0", id="case and blanks"),
        pytest.param('application/openmetrics-text;version="1.0.0"', id="a quoted version"),
        pytest.param("text/plain, application/openmetrics-text", id="liked the same"),
        pytest.param("text/plain;q=0, application/openmetrics-text;q=0.001", id="hardly"),
        pytest.param("application/openmetrics-text;q=0.9, */*;q=0.1", id="more than anything"),
        pytest.param("text/plain;q=0.1, application/openmetrics-text;q=0.2, */*", id="precise"),
    ],
)
def test_a_client_that_likes_openmetrics_gets_it(accept: str) -> None:
    assert wants_openmetrics(accept)


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param("", id="nothing said"),
        pytest.param("*/*", id="anything"),
        pytest.param(BROWSER, id="a browser"),
        pytest.param("text/plain;version=0.0.4", id="the old text"),
        pytest.param("application/json", id="neither"),
        pytest.param("text/plain;q=1, application/openmetrics-text;q=0.1", id="weighed less"),
        pytest.param("application/openmetrics-text;q=0.1, */*", id="less than anything"),
        pytest.param("application/openmetrics-text;q=0.1, text/*;q=0.2", id="less than text"),
        pytest.param("application/openmetrics-text;q=0", id="refused"),
        pytest.param("application/openmetrics-text;version=0.0.1", id="another version"),
        pytest.param("application/openmetrics-text;version=2.0.0", id="a newer version"),
        pytest.param("application/openmetrics-text;q=much", id="no weight"),
        pytest.param("application/openmetrics-text;q=nan", id="no number"),
        pytest.param("application/openmetrics-text;q=-1", id="below nothing"),
        pytest.param("application/openmetrics", id="another name"),
        pytest.param(";;;,,,==", id="noise"),
    ],
)
def test_every_other_client_gets_the_old_text(accept: str) -> None:
    assert not wants_openmetrics(accept)


@given(st.text("aplictonexrm/-;=q01., *", max_size=60) | st.text())
def test_no_header_is_an_error(accept: str) -> None:
    assert wants_openmetrics(accept) in {True, False}
