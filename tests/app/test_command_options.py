from __future__ import annotations

import pytest

from fgtune.app.command_options import text_override
from fgtune.config.reading.source import parse_yaml


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a-b?region=eu-1",
        "/nfs/shared",
        "here",
        "1e3",
        "null",
        "/mnt/😀/x",
        "a: b",
        "/x:",
        "#",
        "é\u2028/y",
        '"',
    ],
)
def test_the_override_gives_the_setting_this_text(text):
    path, _, value = text_override("execution.storage", text).partition("=")
    assert path == "execution.storage"
    assert parse_yaml(f"value: {value}", "").data == {"value": text}
