from __future__ import annotations

import pytest

from fgtune.config.schema.storage import parse_storage
from fgtune.config.schema.study import ExecutionConfig


@pytest.mark.parametrize(
    ("text", "scheme", "path"),
    [
        ("s3://bucket", "s3", "bucket"),
        ("s3://bucket/", "s3", "bucket"),
        ("s3://bucket/a//b c/", "s3", "bucket/a/b c"),
        ("s3://bucket/a%20b?region=eu-central-1", "s3", "bucket/a b"),
        ("gs://my_bucket/x", "gs", "my_bucket/x"),
        ("/nfs/shared", "file", "/nfs/shared"),
        ("shared/here", "file", "shared/here"),
        ("file:///nfs/a%20b", "file", "/nfs/a b"),
    ],
)
def test_an_address_is_a_bucket_with_a_prefix_or_a_folder(text, scheme, path):
    found = parse_storage(text)
    assert (found.scheme, found.path) == (scheme, path)
    assert ExecutionConfig.from_plain({"storage": text}).storage == text


def test_options_of_an_address_are_those_of_ray_tune():
    found = parse_storage("s3://b/p?scheme=http&endpoint_override=localhost%3A9000&region=r")
    assert [found.option(name) for name in ("scheme", "endpoint_override", "region", "x")] == [
        "http",
        "localhost:9000",
        "r",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s3://", "form s3://BUCKET/PREFIX"),
        ("s3:///prefix", "form s3://BUCKET/PREFIX"),
        ("s3://bucket:9000/x", "form s3://BUCKET/PREFIX"),
        ("s3://bucket/x#y", "form s3://BUCKET/PREFIX"),
        ("s3://[bucket", "must be an address such as"),
        ("s3://key:secret@bucket/x", "must hold no user or password"),
        ("gs://token@bucket/x", "set GOOGLE_APPLICATION_CREDENTIALS"),
        ("s3://bucket/x?access_key=a&secret_key=b", "credentials come from the environment"),
        ("s3://bucket/x?scheme=ftp", "must be http or https"),
        ("s3://bucket/x?region=", "must have a value"),
        ("gcs://bucket/x", "did you mean gs://"),
        ("http://bucket/x", "must begin with s3:// or gs://"),
        ("file://host/x", "three slashes"),
        ("a\0b", "zero byte"),
        ("file:///a%00b", "zero byte"),
        ("s3://bucket/a%00b", "zero byte"),
        ("", "at least 1 character"),
    ],
)
def test_what_is_no_address_is_refused(text, told):
    with pytest.raises(ValueError, match=told.replace("?", r"\?")) as caught:
        ExecutionConfig.from_plain({"storage": text})
    del caught
