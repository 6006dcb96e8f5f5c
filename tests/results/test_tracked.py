from __future__ import annotations

import pytest

from fgtune.errors import StudyFolderError
from fgtune.results.tracked import TrackedRun, TrackedRuns


def run(cell: str, number: str, uri: str = "https://example.org/mlflow") -> TrackedRun:
    return TrackedRun(cell, uri, "3", number)


def test_the_last_line_of_a_cell_counts_and_nothing_is_written_twice(tmp_path):
    path = tmp_path / "tracking.jsonl"
    runs = TrackedRuns(path)
    runs.note([run("a", "1"), run("b", "2")])
    runs.note([run("a", "1"), run("b", "3")])
    assert len(path.read_text().splitlines()) == 3
    TrackedRuns(path).note([run("b", "3")])
    assert len(path.read_text().splitlines()) == 3
    assert TrackedRuns(path).read() == {"a": run("a", "1"), "b": run("b", "3")}


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("https://example.org/mlflow/", "https://example.org/mlflow/#/experiments/3/runs/1"),
        ("http://user:***@example.org:5000", "http://example.org:5000/#/experiments/3/runs/1"),
        ("sqlite:////home/someone/mlflow.db", ""),
        ("databricks", ""),
    ],
)
def test_only_a_server_gives_links_and_they_hold_no_names_of_users(uri, link):
    assert run("a", "1", uri).link.partition("?")[0] == link


def test_what_cannot_be_written_or_is_damaged_stops_nobody_who_writes(tmp_path):
    TrackedRuns(tmp_path / "missing" / "tracking.jsonl").note([run("a", "1")])
    assert not (tmp_path / "missing").exists()
    path = tmp_path / "tracking.jsonl"
    for damaged in ('{"cell_id": "a"}', '{"cell_id": "a", "uri": "http://[bad", "experiment_id": "3", "run_id": "1"}'):
        path.write_text(f"{damaged}\n")
        with pytest.raises(StudyFolderError, match="not the run of a cell"):
            TrackedRuns(path).read()
    path.write_text('{"cell_id": "a"}\n')
    TrackedRuns(path).note([run("a", "1")])
    assert path.read_text() == '{"cell_id": "a"}\n'
    with pytest.raises(StudyFolderError, match="not the run of a cell"):
        TrackedRuns(path).read()
