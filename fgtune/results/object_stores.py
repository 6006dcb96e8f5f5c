"""Buckets of S3, of what speaks like it, and of Google: opened from an address and the environment, faults in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fgtune.config.schema.storage import StorageAddress
from fgtune.visible import MASK, masked, visible

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_CONNECT_S, _SILENT_S, _ATTEMPTS = 5.0, 10.0, 3
"""How long a connection, and a transfer without a byte, are waited for, and how often a request is tried."""
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_REFUSED = (
    "ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "EXPIRED_TOKEN", "INVALID_CLIENT_TOKEN",
    "UNRECOGNIZED_CLIENT", "MISSING_AUTHENTICATION", "PERMISSION_DENIED", "UNAUTHENTICATED", "OAuth2",
    "HTTP response code 401", "HTTP response code 403",
)  # fmt: skip
_NO_BUCKET = ("NO_SUCH_BUCKET", "bucket does not exist", "Bucket not found")
_UNREACHABLE = ("NETWORK_CONNECTION", "REQUEST_TIMEOUT", "UNAVAILABLE", "DEADLINE_EXCEEDED")


class BucketError(OSError):
    """A bucket cannot be used, or did not take or give a file.

    Args:
        rule: What is wrong, as the end of a sentence about the bucket.
        fix: What to do.
    """

    def __init__(self, rule: str, fix: str) -> None:
        super().__init__(errno.EIO, rule)  # counts as a fault of a disk, which a cell can do without
        self.rule, self.fix = rule, fix

    def __reduce__(self) -> tuple[type[BucketError], tuple[str, str]]:
        return type(self), (self.rule, self.fix)


def open_store(address: StorageAddress) -> FileSystem:
    """The file system of a bucket, with the credentials that the environment of this process has.

    Raises:
        BucketError: It cannot be opened.
    """
    from pyarrow import fs

    with faults_of(address):
        if address.scheme == "gs":
            limit = timedelta(seconds=_SILENT_S * _ATTEMPTS)
            known = {name: value for name, value in address.options if value}
            return fs.GcsFileSystem(retry_time_limit=limit, **known)
        endpoint, scheme = _endpoint(address)
        region = address.option("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if region is None:
            region = "us-east-1" if endpoint else fs.resolve_s3_region(address.bucket)
        options: dict[str, Any] = {"endpoint_override": endpoint, "scheme": scheme} if endpoint else {}
        return fs.S3FileSystem(
            region=region,
            connect_timeout=_CONNECT_S,
            request_timeout=_SILENT_S,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
            allow_delayed_open=True,  # a small file then takes one request in place of three
            **options,
        )


def _endpoint(address: StorageAddress) -> tuple[str | None, str]:
    """Host and scheme of a server that speaks like S3; None for Amazon's own."""
    given = address.option("endpoint_override")
    given = given or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not given:
        return None, "https"
    parts = urlsplit(given if "://" in given else f"//{given}")
    scheme = address.option("scheme") or parts.scheme or "https"
    return f"{parts.netloc}{parts.path.rstrip('/')}", scheme


@contextmanager
def faults_of(address: StorageAddress) -> Iterator[None]:
    """Turn what Arrow raises in a ``with`` block into a ``BucketError``; of a missing file, leave it as it is."""
    try:
        yield
    except (FileNotFoundError, BucketError):
        raise
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise _told(address, str(error)) from error


def no_bucket(address: StorageAddress) -> BucketError:
    """The fault of an address whose bucket does not exist."""
    return BucketError(f"there is no bucket {address.bucket!r}", "check its name, or create it first")


def _told(address: StorageAddress, text: str) -> BucketError:
    """A fault in words, by what the client's text names."""
    if any(each in text for each in _NO_BUCKET) or f"ucket '{address.bucket}' not found" in text:
        return no_bucket(address)
    if any(each in text for each in _REFUSED):
        return BucketError(*_refused(address))
    if any(each in text for each in _UNREACHABLE):
        return BucketError(*_unreachable(address, text))
    return BucketError(f"cannot be used ({_brief(text)})", "check the address, and what the credentials allow")


def _refused(address: StorageAddress) -> tuple[str, str]:
    if address.scheme == "gs":
        fix = "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login, on every machine"
        return "takes no request of this machine: no credentials, or ones without the right to it", fix
    known = "AWS_ACCESS_KEY_ID" in os.environ or "AWS_PROFILE" in os.environ
    rule = "refuses the credentials of this machine"
    if not known:
        rule += ", whose environment names none"
    fix = (
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role, that may read, write and delete there"
    )
    return rule, fix


def _unreachable(address: StorageAddress, text: str) -> tuple[str, str]:
    if address.scheme == "gs":
        return f"cannot be reached ({_brief(text)})", "check the network, and endpoint_override in the address"
    endpoint, scheme = _endpoint(address)
    place = f"{scheme}://{endpoint}" if endpoint else "Amazon S3"
    reason = text.partition("Details: ")[2] or text
    fix = "check the network, and AWS_ENDPOINT_URL or endpoint_override in the address for a server of your own"
    return f"cannot be reached at {masked(place)} ({_brief(reason)})", fix


def _brief(text: str) -> str:
    """The beginning of a client's text, without the secrets of the environment."""
    for name in _SECRETS:
        value = os.environ.get(name)
        text = text.replace(value, MASK) if value and len(value) >= 4 else text
    return visible(masked(text.strip().splitlines()[0] if text.strip() else "no reason given"), 200)
