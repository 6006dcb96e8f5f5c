"""``fgtune ui``: MLflow on the store of a study, at the study's own pages; it stops whole, and says what is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from fgtune.app.cli import main
from fgtune.app.ui import _compared
from fgtune.results.options import RunOptions
from fgtune.results.provenance import tracked_in


@pytest.fixture(scope="module")
def tracked(small_study_text, train_study, new_store, tmp_path_factory):
    """A finished study in a store of its own, brought there by a call that had nothing to run."""
    from fgtune.engine.run import execute

    base = tmp_path_factory.mktemp("tracked")
    study = base / "small.yaml"
    study.write_text(small_study_text, encoding="utf-8")
    root = train_study(study, base / "reports")
    uri = new_store(base)
    assert execute(RunOptions(study, out=base / "reports", tracking_uri=uri)) == 0
    return SimpleNamespace(root=root, uri=uri, base=base)


@pytest.fixture
def copy(tracked, tmp_path) -> Path:
    """A copy of the study folder that may be changed."""
    return Path(shutil.copytree(tracked.root, tmp_path / "small"))


def change(root: Path, **changes) -> None:
    file = root / "provenance.json"
    record = json.loads(file.read_text())
    for call in (record, *record["continued"]):
        for key, value in changes.items():
            call.pop(key, None) if value is None else call.update({key: value})
    file.write_text(json.dumps(record))


@pytest.mark.slow
def test_a_call_records_its_store(tracked):
    record = json.loads((tracked.root / "provenance.json").read_text())
    assert tracked_in(record) == tracked.uri


def test_the_latest_store_counts_and_a_call_without_tracking_is_none():
    one, two, none = {"tracking": "sqlite:////a.db"}, {"tracking": "sqlite:////b.db"}, {"tracking": "none"}
    assert tracked_in({**one, "continued": [two, none]}) == "sqlite:////b.db"
    assert tracked_in({**none, "continued": [none]}) == "none"
    assert tracked_in({"continued": [{}]}) is None


def test_a_study_that_is_not_tracked_is_refused_with_how_to_track_it(copy, capsys):
    change(copy, tracking="none")
    assert main(["ui", str(copy)]) == 2
    error = capsys.readouterr().err
    assert "holds a study that is not tracked" in error
    assert "--tracking-uri sqlite:///mlflow.db" in error


def test_a_store_that_is_gone_is_named_and_not_created(copy, tmp_path, capsys):
    change(copy, tracking=f"sqlite:///{tmp_path}/gone.db")
    assert main(["ui", str(copy)]) == 2
    assert f"{tmp_path}/gone.db: there is no tracking store" in capsys.readouterr().err
    assert not (tmp_path / "gone.db").exists()


def test_a_folder_of_an_earlier_version_means_the_store_beside_it(tracked, copy, tmp_path, monkeypatch, capsys):
    """Such a folder does not tell its store: the options do, and the working directory of that call."""
    change(copy, tracking=None)
    record = json.loads((copy / "provenance.json").read_text())
    for call in (record, *record["continued"]):
        call["options"] |= {"tracking_uri": None, "out": "reports"}
    (copy / "provenance.json").write_text(json.dumps(record))
    place = tmp_path / "elsewhere"
    root = Path(shutil.copytree(copy, place / "reports" / "small"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["ui", str(root)]) == 2
    assert f"{place}/mlflow.db: there is no tracking store" in capsys.readouterr().err


def test_a_store_without_the_study_is_refused_with_the_line_that_stores_it(copy, new_store, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    assert main(["ui", str(copy), "--tracking-uri", new_store(other)]) == 2
    assert re.search(r"holds no run of the study 'small'.*python -m fgtune\.run .*small\.yaml", capsys.readouterr().err)


def test_a_port_that_is_taken_is_refused_before_anything_starts(tracked, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["ui", str(tracked.root), "--port", str(port)]) == 2
    assert f"--port: cannot be used (Address already in use), got {port}" in capsys.readouterr().err


def test_a_password_that_was_not_stored_is_asked_for(copy, capsys):
    change(copy, tracking="postgresql://ann:***@db.example.org/mlflow")
    assert main(["ui", str(copy)]) == 2
    assert "its password is not stored with the study" in capsys.readouterr().err


@pytest.mark.parametrize("scheme", ["http", "postgresql", "databricks"])
def test_a_server_that_a_folder_from_elsewhere_names_is_not_asked(copy, capsys, scheme):
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        theirs.settimeout(0.2)
        change(copy, tracking=f"{scheme}://127.0.0.1:{theirs.getsockname()[1]}/x")
        assert main(["ui", str(copy)]) == 2
        with pytest.raises(TimeoutError):
            theirs.accept()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"names this store, and was not written by you on this machine, got '{scheme}://127" in printed.err


def test_a_server_that_does_not_answer_is_still_named(copy, capsys, monkeypatch):
    change(copy, tracking="http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the user's own word for it
    assert main(["ui", str(copy)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "MLflow: http://127.0.0.1:9\n"
    assert "the tracking store cannot be used" in printed.err


def start(tracked):
    """Start ``fgtune ui``, and read what it prints until it serves."""
    command = [sys.executable, "-m", "fgtune", "ui", str(tracked.root)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    printed = {}
    for line in process.stdout:
        if line.startswith("Ctrl-C"):
            break
        name, _, rest = line.partition(":")
        printed[name] = rest.strip()
    return process, printed


def answer(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as response:
        return response.read()


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_it_serves_the_study_and_stops_with_all_its_processes(tracked, number, capsys):
    process, printed = start(tracked)
    try:
        address = printed["MLflow"]
        assert {printed[name].split("/#/")[0] for name in ("study", "arms", "charts")} == {address}
        assert all("workflowType=machine_learning" in printed[name] for name in ("study", "arms", "charts"))
        run = re.search(r"runs/(\w+)\?", printed["study"]).group(1)
        found = json.loads(answer(f"{address}/api/2.0/mlflow/runs/get?run_id={run}"))["run"]
        assert {tag["key"]: tag["value"] for tag in found["data"]["tags"]}["fgtune.study"] == "small"
        assert main(["ui", str(tracked.root), "--tracking-uri", address]) == 0  # a server is not started twice
        out = capsys.readouterr().out
        assert out.startswith(f"MLflow: {address}\n")
        assert printed["arms"] in out
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
    finally:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "MLflow is stopped\n")
    assert err.startswith(f"{signal.Signals(number).name}: stopping in order")
    assert [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    with pytest.raises(OSError, match="refused"):
        answer(address)


def test_a_pipe_beside_the_study_is_no_page_that_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.html")
    assert _compared(tmp_path / "x.html") == []
