"""An S3-compatible server on loopback, and what a test asks it about its bucket."""

from __future__ import annotations

import http.client
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example-secret"}
"""What requests are signed with; set before Ray starts, whose processes inherit them. The server asks for none."""
os.environ.update(KEYS | {"AWS_EC2_METADATA_DISABLED": "true"})


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
