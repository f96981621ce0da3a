"""The file with the URL: what is taken from it, and what is said of any other; never the URL."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cdr_exporter.database import read_url
from cdr_exporter.errors import ConfigError

URL = "postgresql://cdr:sw0rdfish@db:5432/cdr"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(URL, id="alone"),
        pytest.param(f"{URL}\n", id="line end"),
        pytest.param(f"\ufeff {URL}\r\n\r\n", id="what editors add"),
    ],
)
def test_the_url_is_all_that_is_in_it(content: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(content, encoding="utf-8")

    assert read_url(tmp_path / "url").reveal() == URL


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \n", "is empty", id="blank"),
        pytest.param(b"host=db password=sw0rdfish", "begins with postgresql://", id="conninfo"),
        pytest.param(b"mysql://cdr:sw0rdfish@db/cdr", "begins with postgresql://", id="mysql"),
        pytest.param(f"{URL}\n{URL}".encode(), "more than one line", id="two"),
        pytest.param(f"# the database\n{URL}".encode(), "begins with", id="comment"),
        pytest.param(f"{URL}\x00".encode(), "invisible", id="zero"),
        pytest.param(b"postgresql://cdr:sw0rdfish\xff@db/cdr", "invisible", id="not UTF-8"),
        pytest.param(b"postgresql://" + b"sw0rdfish" * 1000, "is longer than", id="a book"),
    ],
)
def test_any_other_content_is_a_mistake_that_does_not_show_it(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "url").write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_url(tmp_path / "url")

    assert str(caught.value).startswith(f"state_url_file: {tmp_path / 'url'}: ")
    assert said in str(caught.value)
    assert "sw0rdfish" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path, said in (("pipe", "is a pipe"), ("none", "no such file"), (".", "is a directory")):
        with pytest.raises(ConfigError, match=said):
            read_url(tmp_path / path)
