from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

import psutil
import pytest
import ray

from fgtune.config.schema.study import ExecutionConfig
from fgtune.errors import ConfigError, RayError
from fgtune.tuning import session
from fgtune.tuning.session import check_temporary_folder, ray_session, slots, wait_for_nodes


def test_an_address_where_nobody_listens_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(ConfigError, match=r"--address: answers with no Ray cluster") as caught,
            ray_session(address),
        ):
            pass
    assert caught.value.value == address


def test_as_many_trials_run_at_once_as_whole_trials_fit_on_each_node(monkeypatch):
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    assert slots(ExecutionConfig(cpus=2)) == 2 + 1
    assert slots(ExecutionConfig(cpus=0.5)) == 8 + 6
    assert slots(ExecutionConfig(cpus=1, gpus=0.25)) == 4
    assert slots(ExecutionConfig(cpus=100)) == 1


def test_a_session_has_no_workers_but_those_of_its_trials(ray_started):
    class Trial:
        def ready(self):
            return True

    trial = ray.remote(num_cpus=0)(Trial).remote()
    assert ray.get(trial.ready.remote())  # by now a worker that was started beforehand would be there too
    session = psutil.Process().children(recursive=True)
    ray.kill(trial)
    idle = []
    for process in session:
        with suppress(psutil.NoSuchProcess):  # one that has ended meanwhile, a zombie included, waits for nothing
            idle += [process.pid] if "ray::IDLE" in " ".join(process.cmdline()) else []
    assert idle == []


@pytest.mark.parametrize(("environ", "given", "asked"), [({}, None, "local"), ({"RAY_ADDRESS": "h:1"}, None, "h:1")])
def test_a_cluster_that_nobody_named_is_not_joined(monkeypatch, environ, given, asked):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    seen = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: seen.append(options["address"]))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr("fgtune.tuning.session._check_reachable", lambda address: None)
    with ray_session(given):
        pass
    assert seen == [asked]


STARTS = """
import sys, threading, os, signal, time
from fgtune.signals import answering_signals
from fgtune.tuning.session import ray_session
import psutil

def wait_and_ask():
    while not psutil.Process().children():
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)

with answering_signals():
    threading.Thread(target=wait_and_ask).start()
    try:
        with ray_session():
            pass
    except KeyboardInterrupt as stop:
        print(stop, [each for each in psutil.Process().children(recursive=True) if each.status() != "zombie"])
        sys.stdout.flush()
        os._exit(130)
"""


@pytest.mark.integration
def test_a_signal_while_ray_starts_ends_the_start_and_leaves_nothing_of_it():
    process = subprocess.run([sys.executable, "-c", STARTS], capture_output=True, text=True, timeout=60)
    assert process.returncode == 130, process.stderr
    assert process.stdout == "SIGTERM []\n"


def test_a_folder_for_temporary_files_that_is_too_long_for_sockets_is_refused_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(long))
    with pytest.raises(RayError, match=r"\(from TMPDIR\), is too long .* Fix: set RAY_TMPDIR"), ray_session():
        pass
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    check_temporary_folder()


def test_an_unreachable_cluster_from_the_environment_is_blamed_on_the_variable(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{taken.getsockname()[1]}")
        told = r"RAY_ADDRESS: answers with no Ray cluster .* `unset RAY_ADDRESS`"
        with pytest.raises(ConfigError, match=told), ray_session():
            pass


def test_lines_of_ray_go_to_a_file_and_others_are_shown(tmp_path):
    code = """
import logging, os, sys, threading
from pathlib import Path
import ray
from fgtune.tuning.ray_log import ray_lines_to

def say():
    print("of a thread of Ray's", file=sys.stderr)

with ray_lines_to(Path(sys.argv[1])):
    os.write(2, b"of native code\\n")
    logging.getLogger("ray.util").error("of a logger of Ray's")
    thread = threading.Thread(target=say, name="ray_listen_error_messages")
    thread.start()
    thread.join()
    print("of fgtune", file=sys.stderr)
    ray._private.worker.print_to_stdstream({"lines": ["of another process"], "pid": "raylet", "is_err": False}, False)
print("afterwards", file=sys.stderr)
"""
    path = tmp_path / "ray.log"
    process = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert process.stderr == "of fgtune\nafterwards\n"
    assert process.stdout == ""
    assert set(path.read_text().splitlines()) == {
        "of native code",
        "of a logger of Ray's",
        "of a thread of Ray's",
        "(raylet) of another process",
    }


CANNOT_START = """
import os, threading, time
from fgtune.errors import RayError
from fgtune.tuning.session import ray_session
import psutil

def kill_on_sight():
    while True:
        for each in psutil.Process().children():
            if each.name() == "gcs_server":
                each.kill()
                return
        time.sleep(0.01)

threading.Thread(target=kill_on_sight, daemon=True).start()
try:
    with ray_session():
        pass
except RayError as error:
    alive = [each for each in psutil.Process().children(recursive=True) if each.status() != "zombie"]
    print(alive, error, flush=True)
os._exit(0)
"""


@pytest.mark.integration
@pytest.mark.long
def test_a_ray_that_cannot_start_is_told_within_a_minute_with_the_variable_that_may_be_the_cause():
    # Without what Ray has set in this process, if another test has started it here.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environ |= {"RAY_gcs_storage": "memory"}
    started = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", CANNOT_START], capture_output=True, text=True, timeout=80, env=environ
    )
    assert time.monotonic() - started < 70  # Ray holds the interpreter's lock for 35 s of it
    assert process.stdout.startswith("[] Ray does not start on this machine: "), process.stderr
    fix = process.stdout.partition("Fix: unset what you do not need of ")[2]
    assert "RAY_gcs_storage" in fix
    assert "RAY_CLIENT_MODE" not in fix  # Ray sets it itself


@pytest.mark.parametrize(
    ("error", "starts"),
    [
        (session.StartError("its process raylet has ended while it started"), 2),
        (Exception("The current node timed out during startup"), 2),
        (session.StartError("its process gcs_server has ended while it started"), 1),
    ],
    ids=str,
)
def test_a_start_for_which_ray_waits_too_little_is_tried_once_more(monkeypatch, error, starts):
    opened = []

    class Session:
        has_ended = True

        def __init__(self, address):
            assert address is None

        def open(self):
            opened.append(self)
            if len(opened) == 1:
                raise error

        def kill(self):
            pass

    monkeypatch.setattr(session, "SessionThread", Session)
    if starts == 1:
        with pytest.raises(RayError, match="Ray does not start on this machine: its process gcs_server has ended"):
            session._started()
    else:
        assert session._started() is opened[1]
    assert len(opened) == starts


def test_gpus_are_idle_where_trials_hold_none(monkeypatch):
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 8.0}},
        {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 4.0}},
    ]
    monkeypatch.setattr(session.ray, "nodes", lambda: nodes)
    assert session.idle_gpus(ExecutionConfig()) == 2
    assert session.idle_gpus(ExecutionConfig.from_plain({"gpus": 0.5})) == 0


@pytest.mark.parametrize(
    ("hidden", "ours", "fix"),
    [
        ("7", True, "Fix: unset CUDA_VISIBLE_DEVICES, which is '7' and leaves 0 of them; or lower it, "),
        ("", True, "Fix: unset CUDA_VISIBLE_DEVICES, which is '' and leaves 0 of them; or lower it, "),
        (None, True, "Fix: lower it, e.g. --set execution.gpus=0"),
        ("7", False, "Fix: lower it, e.g. --set execution.gpus=0"),
    ],
)
def test_a_variable_that_hides_gpus_is_named_where_they_lack(monkeypatch, hidden, ours, fix):
    monkeypatch.setattr(session.ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    monkeypatch.setattr(session, "is_ours", lambda: ours)
    if hidden is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    with pytest.raises(ConfigError, match=re.escape(fix)):
        session.check_resources(ExecutionConfig.from_plain({"gpus": 1}))


def test_a_cluster_whose_first_node_is_still_starting_is_waited_for(monkeypatch):
    head, node = {"Alive": True, "Resources": {"memory": 1.0}}, {"Alive": True, "Resources": {"CPU": 2.0}}
    seen, said = [[head], [head], [head, node]], []
    monkeypatch.setattr(ray, "nodes", lambda: seen.pop(0))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    wait_for_nodes(said.append)
    assert seen == []
    assert said == ["no node of the cluster has a core for trials yet; waiting for one to join"]
    monkeypatch.setattr(ray, "nodes", lambda: [head])
    monkeypatch.setattr("fgtune.tuning.session.JOINED_WITHIN_S", -1.0)
    with pytest.raises(ConfigError, match=r"no node of the cluster has a core for trials\. Fix: see `ray status`"):
        wait_for_nodes(said.append)
