"""What is shown of text from elsewhere: no terminal acts on it, it is cut, and no secret of an address is in it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fgtune.errors import ConfigError, MultiConfigError
from fgtune.text import print_line
from fgtune.visible import brief, masked, visible


def test_control_characters_are_shown_as_codes():
    shown = visible("a\x1b[31mb\x07\u202ec\ud800d\ne\tf é 漢")
    assert shown == "a\\x1b[31mb\\x07\\u202ec\\ud800d\\ne\tf é 漢"


def test_a_long_text_keeps_its_beginning_and_its_end():
    shown = visible("a" * 5_000_000 + "end")
    assert len(shown) < 2100
    assert shown.startswith("aaa")
    assert shown.endswith("end")
    assert "(5,000,003 characters)" in shown


def test_a_value_without_a_text_is_shown_by_its_type():
    assert brief(10**5000) == "<int>"
    assert brief([1, 2]) == "[1, 2]"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:pa55@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:p@ss@host/db", "postgresql://me:***@host/db"),
        ("mysql+pymysql://me:a/b@host/db", "mysql+pymysql://me:***@host/db"),
        ("https://ghp_abc@host/x", "https://***@host/x"),
        ("https://host/x?token=abc&page=2", "https://host/x?token=***&page=2"),
        ("https://host/x?a=1&X-Amz-Signature=abc", "https://host/x?a=1&X-Amz-Signature=***"),
        ("https://host/x#access_token=abc", "https://host/x#access_token=***"),
        ("https://host:5000/a@b", "https://host:5000/a@b"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("no address: a@b", "no address: a@b"),
    ],
)
def test_secrets_in_any_part_of_an_address_are_masked(uri, shown):
    assert masked(f"see {uri} there") == f"see {shown} there"


def test_an_error_shows_neither_escapes_nor_secrets_and_stays_one_line():
    text = str(ConfigError("bad\nerror: fake", where="\x1b]0;x\x07", value="https://h/?key=abc", fix="\x1b[2J"))
    assert "\n" not in text
    assert "\x1b" not in text
    assert "abc" not in text


def test_of_very_many_errors_the_first_are_shown_and_the_rest_counted():
    lines = str(MultiConfigError([ConfigError(f"rule {n}") for n in range(5000)])).splitlines()
    assert len(lines) == 51
    assert lines[-1] == "and 4950 more errors like these"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_line_is_printed_whatever_the_terminal_can_show(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    print_line(Console(file=stream, width=200), "accuracy ≥ 0.9 漢 \x1b[31m")
    stream.flush()
    assert b"accuracy" in stream.buffer.getvalue()
    assert b"\x1b" not in stream.buffer.getvalue()
