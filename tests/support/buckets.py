"""Servers on loopback that speak like Amazon's S3 and Google Cloud Storage, and what a test asks about its bucket."""

from __future__ import annotations

import atexit
import contextlib
import http.client
import json
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example-secret"}
"""What requests are signed with; set before Ray starts, whose processes inherit them. The server asks for none."""
os.environ.update(KEYS | {"AWS_EC2_METADATA_DISABLED": "true"})
ACCOUNT = Path(tempfile.mkdtemp(prefix="fgtune-google-")) / "account.json"
"""The credentials of a made-up account of Google's, once a test asks for a bucket there."""
atexit.register(shutil.rmtree, ACCOUNT.parent, ignore_errors=True)
os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(ACCOUNT)


@dataclass
class Bucket:
    """A bucket of its own for a test.

    Attributes:
        name: The bucket.
        port: Of the server, on 127.0.0.1.
    """

    name: str
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def uri(self, prefix: str = "") -> str:
        """An address that needs nothing of the environment but keys."""
        return f"s3://{self.name}{'/' * bool(prefix)}{prefix}?scheme=http&endpoint_override=127.0.0.1:{self.port}"

    @property
    def objects(self) -> dict[str, bytes]:
        """What is in it; empty objects that stand for folders are left out."""
        client = self.client
        found = client.list_objects_v2(Bucket=self.name).get("Contents", [])
        bodies = {each["Key"]: client.get_object(Bucket=self.name, Key=each["Key"])["Body"].read() for each in found}
        return {key: body for key, body in bodies.items() if not key.endswith("/")}

    @property
    def client(self):
        import boto3

        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.endpoint, **keys)

    def ask_for_keys(self, wanted: bool) -> None:
        """Whether the server looks at credentials; it knows none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", "/moto-api/reset-auth", body="0" if wanted else "inf")
        connection.getresponse().read()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[int]:
    """The port of the server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def bucket(s3_server, request, monkeypatch) -> Bucket:
    """An empty bucket; the environment names no server and no region."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(Path("/dev/null")))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(Path("/dev/null")))
    made = Bucket(f"b{abs(hash(request.node.nodeid)):x}"[:40], s3_server)
    made.client.create_bucket(Bucket=made.name)
    return made


@dataclass
class GoogleBucket:
    """A bucket of its own for a test, on a server that speaks like Google Cloud Storage and asks for no account.

    Attributes:
        name: The bucket.
        port: Of the server, on 127.0.0.1.
    """

    name: str
    port: int

    def uri(self, prefix: str = "") -> str:
        """An address that needs nothing of the environment but an account."""
        return f"gs://{self.name}{'/' * bool(prefix)}{prefix}?scheme=http&endpoint_override=127.0.0.1:{self.port}"

    @property
    def objects(self) -> dict[str, bytes]:
        """What is in it; empty objects that stand for folders are left out."""
        found = json.loads(self._get(f"/storage/v1/b/{self.name}/o")).get("items", [])
        names = [each["name"] for each in found if not each["name"].endswith("/")]
        return {name: self._get(f"/storage/v1/b/{self.name}/o/{quote(name, safe='')}?alt=media") for name in names}

    def _get(self, path: str) -> bytes:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request("GET", path)
            return connection.getresponse().read()


@pytest.fixture(scope="session")
def google_server() -> Iterator[int]:
    """The port of the server."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from gcp_storage_emulator.server import create_server

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": key.decode()}
    account |= {"client_email": "a@p.example.org", "client_id": "1", "token_uri": "http://127.0.0.1:9/token"}
    ACCOUNT.write_text(json.dumps(account))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    with create_server("127.0.0.1", port, in_memory=True):
        yield port


@pytest.fixture
def google_bucket(google_server, request) -> GoogleBucket:
    """An empty bucket."""
    made = GoogleBucket(f"b{abs(hash(request.node.nodeid)):x}"[:40], google_server)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", made.port)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/storage/v1/b?project=p", json.dumps({"name": made.name}), headers)
        assert connection.getresponse().status == 200
    return made
