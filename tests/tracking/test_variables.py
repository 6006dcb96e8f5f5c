"""What an environment variable of MLflow's breaks is told by its name."""

from __future__ import annotations

import shutil

import pytest

from fgtune.errors import ConfigError
from fgtune.tracking import open_tracker
from fgtune.tracking.variables import naming_variables


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "many"),
        ("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", "x"),
        ("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "Foo"),
    ],
)
def test_a_variable_that_mlflow_cannot_read_is_named(migrated, tmp_path, monkeypatch, name, value):
    store = tmp_path / f"{name.lower()}.db"  # MLflow keeps an engine for each address
    shutil.copy(migrated, store)
    before = store.read_bytes()
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"^{name}: MLflow cannot use .*{value}.* Fix: unset or mend {name}$"):
        open_tracker(f"sqlite:///{store}")
    assert store.read_bytes() == before


@pytest.mark.parametrize("value", ["nonsense://x", "/dev/null", "sqlite:////dev/null/x.db"])
def test_a_store_that_the_variable_names_is_told_by_the_variable(monkeypatch, tmp_path, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", value)
    with pytest.raises(ConfigError) as caught:
        open_tracker()
    assert str(caught.value).startswith("MLFLOW_TRACKING_URI: ")
    with pytest.raises(ConfigError) as caught:
        open_tracker(value)
    assert str(caught.value).startswith("tracking-uri: ")
    assert list(tmp_path.iterdir()) == []


def test_what_no_variable_can_have_caused_is_left_as_it_is(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="ours"), naming_variables("sqlite:///x.db", {}):
        raise ValueError("ours")
