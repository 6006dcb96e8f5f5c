"""Where the checkpoints of a study are kept, as an address: a folder that all machines see, or a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field

SCHEMES = {"s3": ("endpoint_override", "region", "scheme"), "gs": ("endpoint_override", "scheme")}
"""Object stores, and what may follow the ``?`` of their addresses; all as in Ray Tune's ``storage_path``."""
_OTHER_NAMES = {"gcs": "gs", "s3a": "s3", "s3n": "s3"}


@dataclass(frozen=True)
class StorageAddress:
    """A folder or a place in a bucket.

    Attributes:
        text: The address as given.
        scheme: ``file``, ``s3`` or ``gs``.
        path: The folder; or bucket and prefix, without slashes at the ends.
        options: What follows the ``?``.
    """

    text: str
    scheme: str
    path: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def bucket(self) -> str:
        """The bucket of an object store."""
        return self.path.partition("/")[0]

    def option(self, name: str) -> str | None:
        """An option of the address."""
        return dict(self.options).get(name)


def parse_storage(text: str) -> StorageAddress:
    """Read an address: ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX``, ``file:///FOLDER`` or the path of a folder.

    Raises:
        ValueError: It is none of these, or holds a secret.
    """
    if "\0" in text or "%00" in text.partition("://")[2]:
        raise ValueError("a path holds no zero byte")
    scheme, colon, _ = text.partition("://")
    if not colon:
        return StorageAddress(text, "file", text)
    try:
        parts = urlsplit(text)
        host = parts.hostname  # of which a bracket that is not closed is none
    except ValueError as error:
        raise ValueError(f"must be an address such as s3://BUCKET/PREFIX ({error})") from error
    if parts.username is not None or parts.password is not None:
        amazon = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        variables = "GOOGLE_APPLICATION_CREDENTIALS" if scheme == "gs" else amazon
        raise ValueError(f"must hold no user or password: study files are shared; set {variables} instead")
    if scheme == "file":
        if host or not parts.path.startswith("/"):
            raise ValueError("must be file:///FOLDER, with three slashes, or just the path of the folder")
        return StorageAddress(text, "file", unquote(parts.path))
    if scheme not in SCHEMES:
        meant = _OTHER_NAMES.get(scheme)
        hint = f", did you mean {meant}://?" if meant else ""
        raise ValueError(f"must begin with s3:// or gs://, or be the path of a folder that all machines see{hint}")
    path = "/".join([parts.netloc, *(unquote(each) for each in parts.path.split("/") if each)])
    if not parts.netloc or ":" in parts.netloc or parts.fragment:
        raise ValueError(f"must have the form {scheme}://BUCKET/PREFIX")
    return StorageAddress(text, scheme, path, _options(scheme, parts.query))


def _options(scheme: str, query: str) -> tuple[tuple[str, str], ...]:
    options = parse_qsl(query, keep_blank_values=True)
    known = SCHEMES[scheme]
    for name, value in options:
        if name not in known:
            raise ValueError(f"knows nothing after ? but {', '.join(known)}; credentials come from the environment")
        if name == "scheme" and value not in {"http", "https"}:
            raise ValueError("scheme after ? must be http or https")
        if not value:
            raise ValueError(f"{name} after ? must have a value")
    return tuple(options)


def _checked(text: str) -> str:
    parse_storage(text)
    return text


StorageText = Annotated[str, Field(min_length=1), AfterValidator(_checked)]
