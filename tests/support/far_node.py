"""A Ray cluster of two nodes on one machine, of which the second sees neither study folder, nor data, nor code."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import fgtune

RAY = Path(sys.executable).with_name("ray")


class FarNode:
    """The cluster: a head on which no trial runs, and a node in a mount namespace of its own.

    Args:
        hidden: Folders that the node sees empty.
        environ: Environment of both, and of ``fgtune``.
    """

    def __init__(self, hidden: list[Path], environ: dict[str, str]) -> None:
        self._hidden = hidden
        self.temporary = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # short: Ray puts sockets there
        token = self.temporary / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "OMP_NUM_THREADS": "1"}
        self.environ = {**os.environ, **environ, **known, "RAY_USAGE_STATS_ENABLED": "0"}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._head = self._start(
            ["start", "--head", f"--port={self.port}", "--num-cpus=0", f"--temp-dir={self.temporary}"], "head", []
        )
        self._nodes: list[psutil.Popen] = []
        self._drivers: list[psutil.Popen] = []
        deadline = time.monotonic() + 120
        while not self._answers() and time.monotonic() < deadline:
            time.sleep(0.2)

    @property
    def nodes(self) -> list[psutil.Process]:
        """All processes of the nodes besides the head."""
        return [each for node in self._nodes for each in (node, *node.children(recursive=True))]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _start(self, arguments: list[str], name: str, before: list[str]) -> psutil.Popen:
        small = ["--object-store-memory=150000000", "--block"]
        command = [*before, str(RAY), *arguments, *small, *(["--include-dashboard=false"] if name == "head" else [])]
        with (self.temporary / f"{name}.log").open("ab") as log:
            return psutil.Popen(command, stdout=log, stderr=log, env=self.environ, start_new_session=True, cwd="/")

    def start_node(self, cpus: int = 1) -> None:
        """Add a node; it joins after some seconds."""
        covered = " && ".join(f"mount -t tmpfs none {shlex.quote(str(folder))}" for folder in self._hidden)
        environ = f'unset PYTHONPATH FGTUNE_CACHE && {covered} && cd / && exec "$@"'
        unshare = ["unshare", "-m", "--propagation", "private", "sh", "-c", environ, "sh"]
        self._nodes.append(self._start(["start", f"--address={self.address}", f"--num-cpus={cpus}"], "node", unshare))

    def kill_node(self) -> None:
        """Kill the oldest node with all its processes, as where a machine is taken away."""
        _kill(self._nodes.pop(0))

    def kill_head(self) -> None:
        """Kill the head with all its processes."""
        _kill(self._head)

    def run(self, study: Path, *options: str, seconds: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Run ``fgtune run`` on the cluster."""
        return subprocess.run(
            self.command(study, *options), env=self.environ, capture_output=True, text=True, timeout=seconds,
            cwd=study.parent,
        )  # fmt: skip

    def start(self, study: Path, *options: str) -> psutil.Popen:
        """Start ``fgtune run`` on the cluster; its output, all in one, is to be read from ``stdout``."""
        self._drivers.append(
            psutil.Popen(
                self.command(study, *options),
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=study.parent,
            )
        )
        return self._drivers[-1]

    def command(self, study: Path, *options: str) -> list[str]:
        """The command that runs a study on the cluster."""
        fixed = ["--address", self.address, "--tracking-uri", "none"]
        return [sys.executable, "-m", "fgtune", "run", str(study), *fixed, *options]

    def close(self) -> None:
        """End everything."""
        for process in (*self._drivers, *self._nodes, self._head):
            _kill(process)
        shutil.rmtree(self.temporary, ignore_errors=True)


def _kill(process: psutil.Popen) -> None:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in family:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=10)


@pytest.fixture
def far_node(tmp_path, monkeypatch) -> Iterator[FarNode]:
    """The cluster; the node does not see ``tmp_path``, nor the folder of fgtune itself."""
    if os.getuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are for root, in a container that allows them")
    source = Path(fgtune.__file__).parent
    cluster = FarNode([tmp_path, source], {"PYTHONPATH": str(source.parent), "FGTUNE_CACHE": str(tmp_path / "cache")})
    try:
        cluster.start_node()
        yield cluster
    finally:
        cluster.close()
