from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from fgtune.engine.cluster import meet_nodes, weights_files
from fgtune.engine.opening import open_study
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder
from fgtune.tuning import nodes
from fgtune.tuning.nodes import Reach


@pytest.fixture
def meet(monkeypatch, tmp_path):
    """Meet nodes of which some do not see the files that are named; returns what was said and asked."""

    def make(opened, *unseen, object_store=1e9):
        asked, said = [], []

        def answer(question, execution):
            asked.append(question)
            seen = {name for name in question.files if any(name.startswith(part) for part in unseen)}
            return Reach(2, frozenset(seen), object_store), []

        monkeypatch.setattr(nodes, "meet", answer)
        folder = StudyFolder(tmp_path / "reports" / "small")
        with folder.lock():
            meet_nodes(opened, folder, None, said.append)
        return said, asked[0]

    return make


def test_nodes_are_asked_for_the_study_folder_the_data_and_files_of_weights(small_study, meet):
    said, question = meet(open_study(small_study))
    assert (said, list(question.files), question.mark) == ([], ["the study folder"], None)


def test_a_study_whose_cells_stay_where_they_are_is_warned_alone(small_study, meet):
    (warning,), _ = meet(open_study(small_study), "the study folder")
    assert warning.startswith("warning: not all nodes of the cluster see ")
    assert "with --storage it goes on from its checkpoint" in warning


@pytest.mark.parametrize(("seeds", "is_refused"), [(1, False), (2, True)])
def test_stopped_trials_of_several_seeds_need_a_storage_where_machines_share_nothing(
    small_study, meet, seeds, is_refused
):
    space = {"parameters": {"objective.lambda_reg": {"kind": "uniform", "low": 1.0, "high": 2.0}}}
    design = {"kind": "search", "metric": "val/silhouette", "trials": 2, "sampler": {"kind": "random"}, "space": space}
    changes = [f"design={json.dumps(design)}", "scheduler={kind: asha, metric: val/silhouette}", f"seeds={seeds}"]
    opened = open_study(small_study, changes)
    if not is_refused:
        assert len(meet(opened, "the study folder")[0]) == 1
        return
    with pytest.raises(ConfigError, match=r"^execution\.storage: must be given: .* Fix: add --storage s3://"):
        meet(opened, "the study folder")
    assert meet(open_study(small_study, [*changes, "execution.storage=s3://b/p"]), "the study folder")[0] == []


def test_images_that_no_node_sees_must_fit_into_the_object_store(small_study, meet, monkeypatch):
    opened = open_study(small_study)
    monkeypatch.setattr("fgtune.data.travelling.files_of", lambda dataset: [small_study])
    monkeypatch.setattr("fgtune.data.travelling.bytes_to_travel", lambda dataset: 5_000_000_000)
    assert meet(opened, "data", object_store=10e9)[0] == []
    with pytest.raises(ConfigError, match=r"trial\.data: nodes .* 5\.0 GB do not fit .* an object store has 6\.0 GB"):
        meet(opened, "data", object_store=6e9)


def test_files_of_weights_are_those_of_arms_and_of_values_to_choose_from():
    from fgtune.config.schema.domains import ChoiceDomain

    def arm(path):
        weights = None if path is None else SimpleNamespace(path=path)
        return SimpleNamespace(
            config=SimpleNamespace(discovery=SimpleNamespace(model=SimpleNamespace(weights=weights)))
        )

    whole = ChoiceDomain(kind="choice", values=({"path": "c.pt"}, None))
    path = ChoiceDomain(kind="choice", values=("d.pt", "a.pt"))
    design = SimpleNamespace(domains={"model.weights": whole, "model.weights.path": path, "optimizer.lr": whole})
    inner = SimpleNamespace(arms=[arm("e.pt")], study=SimpleNamespace(design=SimpleNamespace(domains={})))
    plan = SimpleNamespace(
        arms=[arm("b.pt"), arm(None), arm("a.pt")],
        study=SimpleNamespace(design=design),
        arm_searches=[SimpleNamespace(plan=inner)],
    )
    assert weights_files(plan) == ["a.pt", "b.pt", "c.pt", "d.pt", "e.pt"]
