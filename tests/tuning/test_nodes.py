from __future__ import annotations

import dataclasses
import sys
import types

import pytest

from fgtune.config.schema.study import ExecutionConfig
from fgtune.errors import ConfigError
from fgtune.plugins import permitting
from fgtune.results.storage_check import Mark
from fgtune.tuning import nodes
from fgtune.tuning.nodes import Answer, Question, answer, check_nodes, differences, meet, seen_here, table_of

SAME = Answer("a", "0.1.0", "3.11.7", "x86_64", {"torch": "2.6", "pandas": "2.2"}, {}, None, ())


def changed(**fields) -> Answer:
    return dataclasses.replace(SAME, **fields)


def test_a_node_like_the_driver_differs_in_nothing():
    assert differences("b", changed(host="b"), SAME) == []
    assert check_nodes([]) == []


@pytest.mark.parametrize(
    ("fields", "what", "is_fatal"),
    [
        ({"fgtune": "0.2.0"}, "fgtune", True),
        ({"python": "3.12.1"}, "Python", True),
        ({"python": "3.11.9"}, "Python", False),
        ({"packages": {"torch": None, "pandas": "2.2"}}, "torch", True),
        ({"packages": {"torch": "2.7", "pandas": "2.2"}}, "torch", False),
        ({"packages": {"torch": "2.6", "pandas": None}}, "pandas", False),
        ({"plugins": {"mine": "ModuleNotFoundError: No module named 'mine'"}}, "plugin mine", True),
        ({"storage": "is not the same place as on the driver's machine"}, "storage", True),
        ({"machine": "aarch64"}, "processor", False),
    ],
)
def test_what_differs_stands_in_the_table_and_ends_the_call_where_trials_cannot_run(fields, what, is_fatal):
    found = differences("b (10.0.0.2)", changed(**fields), SAME)
    assert [(each.what, each.is_fatal) for each in found] == [(what, is_fatal)]
    if is_fatal:
        with pytest.raises(
            ConfigError, match=rf"(?s)trials cannot run on 1 node of the cluster:.*{what}.*Fix: (install|set what)"
        ):
            check_nodes(found)
    else:
        warning, head, row = check_nodes(found)
        assert warning.startswith("warning: nodes of the cluster differ from this machine")
        assert head.split() == ["nodes", "what", "there", "here"]
        assert row.startswith("b (10.0.0.2)")


def test_nodes_that_differ_alike_share_a_line():
    found = [each for n in range(5) for each in differences(f"n{n}", changed(machine="aarch64"), SAME)]
    assert table_of(found) == [
        "nodes                  what       there    here",
        "n0, n1, n2 and 2 more  processor  aarch64  x86_64",
    ]


def test_a_machine_tells_its_versions_its_plugins_and_which_files_it_sees(tmp_path, monkeypatch):
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("same", "other", "gone"):
        (tmp_path / name).write_text(name)
    files = seen_here({name: [tmp_path / name] for name in ("same", "other", "gone", "never")})
    assert sorted(files) == ["gone", "other", "same"]
    (tmp_path / "other").write_text("OTHER")
    (tmp_path / "gone").unlink()
    with permitting(["broken_plugin", "json"]):
        mark = Mark(str(tmp_path), "no mark", "x")
        told = answer(Question(mark=mark, files=files))
    assert told.python == ".".join(map(str, sys.version_info[:3]))
    assert told.packages["torch"]
    assert told.plugins == {"broken_plugin": "RuntimeError: no licence"}
    assert told.storage == "is not the same place as on the driver's machine"
    assert told.unseen == ("other", "gone")


def test_a_session_of_one_node_is_asked_nothing(monkeypatch):
    node = {"Alive": True, "Resources": {"CPU": 4.0}, "NodeID": "1"}
    fake = types.SimpleNamespace(nodes=lambda: [node, node | {"Alive": False}])
    monkeypatch.setitem(sys.modules, "ray", fake)  # which cannot do anything else
    reach, found = meet(Question(), ExecutionConfig())
    assert (reach.nodes, reach.unseen, found) == (1, frozenset(), [])


def test_nodes_that_went_are_left_out_and_silent_ones_are_a_warning(monkeypatch):
    def node(number, **resources):
        names = {"NodeID": f"id{number}", "NodeManagerHostname": f"h{number}", "NodeManagerAddress": "10.0.0.1"}
        return {"Alive": True, "Resources": {"CPU": 2.0, "object_store_memory": 1e9 * number, **resources}, **names}

    listed = [node(1), node(2), node(3), node(4), node(5, CPU=0.0)]
    later = [each | {"Alive": each["NodeID"] != "id2"} for each in listed]
    answers = iter([listed, later])
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(nodes=lambda: next(answers)))
    seen = dataclasses.replace(answer(Question()), unseen=("data x",))
    monkeypatch.setattr(nodes, "_latest", nodes.Reach())  # and so afterwards
    told = {"id1": seen, "id2": "the worker died", "id3": nodes._SILENT, "id4": "ModuleNotFoundError: fgtune"}
    monkeypatch.setattr(
        nodes, "_answers", lambda question, asked: {each["NodeID"]: told[each["NodeID"]] for each in asked}
    )
    reach, found = meet(Question(), ExecutionConfig())
    assert (reach.nodes, reach.unseen, reach.object_store) == (4, {"data x"}, 1e9)
    assert [(each.node[:2], each.is_fatal) for each in found] == [("h3", False), ("h4", True)]
