from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.reading.load import load_study
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import AdamConfig
from fgtune.errors import ConfigError, MultiConfigError

SHIPPED = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))


def test_a_study_is_loaded_with_every_default(write):
    path = write()
    loaded = load_study(path)
    assert loaded.study.seed_list == (0, 1, 2)
    assert loaded.study.trial.batch_size == 256
    assert loaded.raw["trial"]["epochs"] == 60
    assert "batch_size" not in loaded.raw["trial"]
    assert loaded.source_text == path.read_text()
    assert Study.from_plain(loaded.study.to_plain()) == loaded.study


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_studies_open_with_question_expectation_and_source(path):
    study = load_study(path).study
    assert study.study == path.stem
    opening = [line.partition(":")[0] for line in path.read_text().splitlines() if line[:1].isalpha()]
    assert opening[:4] == ["study", "question", "expectation", "source"]
    assert study.question
    assert study.expectation
    assert study.source


BAD = [
    (("epochs: 60", "epocs: 60"), "tiny.yaml:16: trial.epocs: unknown key. Fix: did you mean 'epochs'?"),
    (("epochs: 60", "xyz: 60"), "tiny.yaml:16: trial.xyz: unknown key. Fix: known keys: data, model, classes, "),
    (("epochs: 60", "lr: 60"), "tiny.yaml:16: trial.lr: unknown key. Fix: it belongs in trial.optimizer.lr"),
    (
        ("  kind: sensitivity\n", "  kind: sensitivity\n  datasets: {}\n"),
        "tiny.yaml:5: design.datasets: unknown key. Fix: leave it out: only kind comparison has it",
    ),
    (
        ("optimizer: {kind: sgd,", "optimizer: {kind: adamw, nesterov: true,"),
        "tiny.yaml:15: trial.optimizer.nesterov: unknown key. Fix: leave it out: only kind sgd has it",
    ),
    (
        ("    kind: digits\n", "    kind: digits\n    standardize: true\n"),
        "tiny.yaml:14: trial.data.standardize: unknown key. Fix: leave it out: only kinds ",
    ),
    (("lr: 0.1", "lrr: 0.1"), "tiny.yaml:15: trial.optimizer.lrr: unknown key. Fix: did you mean 'lr'?"),
    (("seeds: 3", "seds: 3"), "tiny.yaml:9: seds: unknown key. Fix: did you mean 'seeds'?"),
    (("epochs: 60", 'epochs: "60"'), "tiny.yaml:16: trial.epochs: must be a whole number, got '60'. Fix: leave the qu"),
    (("epochs: 60", "epochs: 6.0"), "tiny.yaml:16: trial.epochs: must be a whole number, got 6.0. Fix: write 6"),
    (("epochs: 60", "epochs: 0"), "tiny.yaml:16: trial.epochs: must be >= 1, got 0. Fix: leave it out for the default"),
    (("epochs: 60", "epochs: null"), "tiny.yaml:16: trial.epochs: must be a whole number, got None."),
    (("lr: 0.1", "lr: fast"), "tiny.yaml:15: trial.optimizer.lr: must be a number, got 'fast'. Fix: leave it out for"),
    (("lr: 0.1", "lr: -1"), "tiny.yaml:15: trial.optimizer.lr: must be > 0, got -1. Fix: leave it out for the default"),
    (("lr: 0.1", "nesterov: on"), "tiny.yaml:15: trial.optimizer.nesterov: must be true or false, got 'on'. Fix: writ"),
    (("lr: 0.1", "momentum: 1.0"), "tiny.yaml:15: trial.optimizer.momentum: must be < 1, got 1.0. Fix: leave it out f"),
    (
        ("kind: digits", "coarse: c\n    kind: arrays\n    path: a.csv"),
        "tiny.yaml:13: trial.data.coarse: unknown key. Fix: it belongs in trial.data.files.coarse or trial.data.col",
    ),
    (("kind: digits", "kind: digts"), "tiny.yaml:13: trial.data.kind: unknown kind, got 'digts'. Fix: did you mean 'd"),
    (
        ("kind: digits", "kind: cifar"),
        "tiny.yaml:13: trial.data.kind: unknown kind, got 'cifar'. Fix: did you mean 'cifar100'?",
    ),
    (("kind: sgd, ", ""), "tiny.yaml:15: trial.optimizer.kind: must be given. Fix: choose one of: sgd, adamw"),
    (("kind: sgd", "kind: [sgd]"), "tiny.yaml:15: trial.optimizer.kind: unknown kind, got ['sgd']. Fix: did"),
    (("{kind: sgd, lr: 0.1}", "sgd"), "tiny.yaml:15: trial.optimizer: must be a mapping, got 'sgd'"),
    (("seeds: 3", "seeds: 0"), "tiny.yaml:9: seeds: must be >= 1, got 0. Fix: leave it out for the default, 5"),
    (("seeds: 3", "seeds: many"), "tiny.yaml:9: seeds: must be a whole number or a list or a mapping, got 'many'."),
    (("seeds: 3", "seeds: []"), "tiny.yaml:9: seeds: must not be empty, got []. Fix: leave it out for the default, 5"),
    (("seeds: 3", "seeds: [1, -1]"), "tiny.yaml:9: seeds[1]: must be >= 0, got -1. Fix: use 0 or more"),
    (("seeds: 3", "seeds: [1, 1]"), "tiny.yaml:9: seeds: must differ, 1 is given twice"),
    (("study: tiny", "study: a b"), "tiny.yaml:1: study: must be letters, digits, '-' and '_' only, and begin with a"),
    (("study: tiny\n", ""), "tiny.yaml: study: must be given. Fix: add `study:` (Name of the study and of its folder)"),
    (("question: What happens?", "question: ''"), "tiny.yaml:2: question: must not be empty, got ''"),
    (("[0.8, 1.0, 1.2]", "[]"), "tiny.yaml:6: design.factors.classes.num_fine_ratio: must not be empty, got []"),
    (("[0.8, 1.0, 1.2]", "0.8"), "tiny.yaml:6: design.factors.classes.num_fine_ratio: must be a list or a mapping, g"),
    (("    classes.num_fine_ratio: [0.8", "    Lr Rate: [0.8"), "tiny.yaml:6: design.factors.Lr Rate: must be a dotte"),
    (("[test/ari]", "[ari]"), "tiny.yaml:10: metrics.also[0]: must be a split and a metric, such as test/ari, got 'ar"),
    (("epochs: 60", "precision: fp61"), "tiny.yaml:16: trial.precision: unknown choice, got 'fp61'. Fix: did you mean"),
    (("epochs: 60", "device: gpu"), "tiny.yaml:16: trial.device: unknown choice, got 'gpu'. Fix: "),
    (("num_fine_ratio: 1.0}", "num_fine_ratio: 1.0, num_fine: 3}"), "tiny.yaml:14: trial.classes: give exactly one of"),
    (("epochs: 60", "objective: {preset: falcn}"), "tiny.yaml:16: trial.objective.preset: unknown choice, got 'falcn'"),
    (("epochs: 60", "objective: {preset: [1]}"), "tiny.yaml:16: trial.objective.preset: unknown choice, got [1]. Fix:"),
    (("epochs: 60", "epochs: 60\n  epochs: 61"), "tiny.yaml:17: trial.epochs: key given twice, on lines 16 and 17."),
    (("kind: sensitivity", "kind: sensitivty"), "tiny.yaml:4: design.kind: unknown kind, got 'sensitivty'. Fix: did y"),
    (("kind: digits", "kind: digits\n    coarse_groups: [[0, 1], [1, 2]]"), "tiny.yaml:12: trial.data: a digit "),
]  # fmt: skip


@pytest.mark.parametrize(("replaced", "message"), BAD, ids=[f"{new or old}"[:40] for (old, new), _ in BAD])
def test_one_mistake_gives_one_message_with_place_rule_value_and_fix(write, replaced, message):
    with pytest.raises(ConfigError) as caught:
        load_study(write(replaced))
    assert not isinstance(caught.value, MultiConfigError), str(caught.value)
    assert str(caught.value).startswith(message)


def test_all_mistakes_are_told_in_the_order_of_the_file(write):
    path = write(
        ("seeds: 3", "seeds: x"), ("lr: 0.1", "lr: 0"), ("epochs: 60", "epocs: 60"), ("kind: digits", "kind: d")
    )
    with pytest.raises(MultiConfigError) as caught:
        load_study(path, ["execution.cpus=0"])
    assert [error.path for error in caught.value.errors] == [
        "seeds", "trial.data.kind", "trial.optimizer.lr", "trial.epocs", "execution.cpus"
    ]  # fmt: skip
    assert [error.where for error in caught.value.errors][-1] == "--set execution.cpus=0"
    assert len(str(caught.value).splitlines()) == 5
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 (written on the line above)
    assert str(again) == str(caught.value)
    assert str(caught.value.located("x.yaml:1")).count("x.yaml:1: ") == 5


def test_a_mistake_inside_a_union_of_number_and_list_names_the_item(write):
    hierarchy = "kind: hierarchy\n    num_coarse: 2\n    fine_per_coarse: [3, a]"
    with pytest.raises(ConfigError) as caught:
        load_study(write(("kind: digits", hierarchy)))
    assert str(caught.value).startswith("tiny.yaml:15: trial.data.fine_per_coarse[1]: must be a whole number, got 'a'")


def test_unreadable_files_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^none\.yaml: no such study file\. Fix: check the path$"):
        load_study("none.yaml")
    Path("latin.yaml").write_bytes("study: é".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^latin\.yaml: must be UTF-8 text"):
        load_study("latin.yaml")
    with pytest.raises(ConfigError, match=r"^none\.yaml: no such study file\. Fix: the folder \. holds: latin\.yaml$"):
        load_study("none.yaml")
    Path("folder.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"^folder\.yaml: must be a file, it is a folder"):
        load_study("folder.yaml")


def test_overrides_change_values_and_the_last_one_wins(write):
    overrides = ["trial.epochs=3", "seeds=[7, 8]", "trial.optimizer.kind=adamw", "trial.epochs=4", "study=other"]
    study = load_study(write(), overrides).study
    assert (study.trial.epochs, study.seed_list, study.study) == (4, (7, 8), "other")
    assert study.trial.optimizer == AdamConfig()


def test_an_override_reaches_sections_that_the_file_leaves_out(write):
    study = load_study(write(), ["trial.neighbors.stored=9", "trial.schedule.gamma=0.5"]).study
    assert study.trial.neighbors.stored == 9
    assert study.trial.schedule.to_plain() == {"kind": "multistep", "milestones": [0.6, 0.8], "gamma": 0.5}


def test_an_override_of_a_factor_keeps_its_dots(write):
    study = load_study(write(), ["design.factors.classes.num_fine_ratio=[1.0, 2.0]"]).study
    assert dict(study.design.factors) == {"classes.num_fine_ratio": (1.0, 2.0)}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trial.epocs=3", "--set trial.epocs=3: trial.epocs: unknown key. Fix: did you mean 'epochs'?"),
        ("trail.epochs=3", "--set trail.epochs=3: trail: unknown key. Fix: did you mean 'trial'?"),
        ("epochs=3", "--set epochs=3: epochs: unknown key. Fix: it belongs in trial.epochs"),
        ("trial.epochs=three", "--set trial.epochs=three: trial.epochs: must be a whole number, got 'three'."),
        ("trial.epochs", "--set trial.epochs: must have the form path=value. Fix: for example --set trial.epochs=3"),
        ("=3", "--set =3: must have the form path=value."),
        ("trial..epochs=3", "--set trial..epochs=3: must have the form path=value."),
        ("trial.epochs=[3", "--set trial.epochs=[3: is not valid YAML: "),
        ("trial.data.kind=digts", "--set trial.data.kind=digts: trial.data.kind: unknown kind, got 'digts'. Fix: did"),
        (
            "trial.optimizer={kind: adamw, rl: 1}",
            "--set trial.optimizer={kind: adamw, rl: 1}: trial.optimizer.rl: unknown",
        ),
        ("design.factors.classes.num_fine_ratio=[]", "--set design.factors.classes.num_fine_ratio=[]: design.factors."),
    ],
)
def test_a_wrong_override_is_told_as_one(write, override, message):
    with pytest.raises(ConfigError) as caught:
        load_study(write(), [override])
    assert str(caught.value).startswith(message)


def test_smoke_shrinks_seeds_epochs_and_data_and_renames_the_study(write):
    study = load_study(write(), smoke=True).study
    assert (study.study, study.seed_list, study.trial.epochs, study.trial.data.limit) == ("tiny-smoke", (0, 1), 3, 300)


def test_smoke_never_makes_a_study_larger(write):
    data = ("kind: digits", "kind: digits\n    limit: 50")
    study = load_study(write(("seeds: 3", "seeds: 1"), ("epochs: 60", "epochs: 2"), data), smoke=True).study
    assert (study.seed_list, study.trial.epochs, study.trial.data.limit) == ((0,), 2, 50)


def test_smoke_takes_the_first_of_listed_seeds_and_shrinks_default_epochs(write):
    study = load_study(write(("seeds: 3", "seeds: [4, 9, 1]"), ("  epochs: 60\n", "")), smoke=True).study
    assert (study.seed_list, study.trial.epochs) == ((4, 9), 3)


def test_smoke_shrinks_pretraining(write):
    for section, epochs in (("{kind: scarf}", 3), ("{kind: scarf, epochs: 90}", 3), ("{kind: scarf, epochs: 2}", 2)):
        path = write(("  epochs: 60\n", f"  epochs: 60\n  model: {{pretrain: {section}}}\n"))
        assert load_study(path, smoke=True).study.trial.model.pretrain.epochs == epochs


def test_the_study_s_own_smoke_map_wins_over_the_defaults_and_set_over_both(write):
    path = write(("seeds: 3", "seeds: 3\nsmoke: {trial.epochs: 5, trial.batch_size: 32, seeds: 3}"))
    study = load_study(path, ["trial.batch_size=64"], smoke=True).study
    assert (study.seed_list, study.trial.epochs, study.trial.batch_size) == ((0, 1, 2), 5, 64)
    assert load_study(path).study.trial.epochs == 60


def test_an_error_of_the_smoke_map_points_at_its_line(write):
    path = write(("seeds: 3", "seeds: 3\nsmoke:\n  trial.epochs: 0"))
    with pytest.raises(ConfigError, match=r"^tiny\.yaml:11: trial\.epochs: must be >= 1, got 0"):
        load_study(path, smoke=True)


def test_smoke_does_not_hide_what_is_wrong(write):
    path = write(("seeds: 3", "seeds: x"), ("epochs: 60", "epochs: y"))
    with pytest.raises(MultiConfigError) as caught:
        load_study(path, smoke=True)
    assert [error.path for error in caught.value.errors] == ["seeds", "trial.epochs"]


@pytest.mark.parametrize("wrong", ["trial: 3", "trial: null", "trial: {data: 3}", "trial: []"])
def test_smoke_of_a_broken_trial_is_still_a_config_error(write, study_text, wrong):
    head = study_text[: study_text.index("trial:")]
    with pytest.raises(ConfigError, match="trial"):
        load_study(write(text=f"{head}{wrong}\n"), smoke=True)


def test_execution_and_smoke_do_not_change_a_study_s_identity(write):
    plain = load_study(write()).study
    other = load_study(write(("seeds: 3", "seeds: 3\nsmoke: {seeds: 1}\nexecution: {cpus: 2}"))).study
    assert plain.identity() == other.identity()
    assert plain.identity() != load_study(write(("epochs: 60", "epochs: 61"))).study.identity()


JUNKED = """\
study: junk
question: What happens?
design: {kind: sensitivity, factors: {classes.num_fine: [5, 6]}}
trial: {data: {kind: digits}, classes: {num_fine: 5}}
"""
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["", "kind", "sgd", "digits"]),
    lambda below: (
        st.lists(below, max_size=2)
        | st.dictionaries(st.sampled_from(["kind", "lr", "data", "num_fine", "x"]), below, max_size=3)
    ),
    max_leaves=6,
)
WHERE = st.sampled_from(
    ["trial", "trial.data", "trial.optimizer", "trial.objective", "trial.model.backbone", "design", "design.factors",
     "design.arms", "seeds", "metrics", "metrics.also", "study", "smoke", "execution", "trial.evaluation.splits"]
)  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(WHERE, JUNK)
def test_junk_anywhere_is_accepted_or_told_in_one_line_an_error(tmp_path_factory, where, junk):
    path = tmp_path_factory.getbasetemp() / "junk.yaml"
    path.write_text(JUNKED)
    refused = None
    try:
        load_study(path, [f"{where}={json.dumps(junk)}"], smoke=True)
    except ConfigError as error:
        refused = error
    if refused is not None:
        lines = str(refused).splitlines()
        assert lines
        assert all(line.startswith(("--set ", str(path))) for line in lines)
        assert not any(re.search(r"constrained-|\[key\]|Input should|function-", line) for line in lines)


def test_smoke_takes_fewer_classes_with_enough_test_samples_where_it_takes_samples_away(write):
    assert load_study(write(), smoke=True).study.trial.data.limit_test_per_class == 5
    small = write(("    kind: digits\n", "    kind: digits\n    limit: 200\n"))
    assert load_study(small, smoke=True).study.trial.data.limit_test_per_class is None
