"""``optuna.db`` in the study folder: finished trials of a search, for optuna-dashboard and for stateful samplers.

It is a copy of the ledger. Only finished trials are written, so none is ever left running; a fault of the file causes
one warning and is repaired by rewriting the file at the next start.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from fgtune.errors import StudyFolderError
from fgtune.text import first_line
from fgtune.tuning.search.objectives import Objective

ARM, NUMBER, CELL_ID = "arm", "number", "cell_id"
"""User attributes of every mirrored trial: its arm, the arm's number, and its cells (one per seed, comma-separated)."""

_FAULTS = (SQLAlchemyError, OSError, ValueError, KeyError, RuntimeError, optuna.exceptions.OptunaError)


def read_mirror(path: Path, name: str) -> list[FrozenTrial]:
    """The trials in a mirror, which is only read.

    Args:
        path: The SQLite file.
        name: Name of the Optuna study in it.

    Raises:
        StudyFolderError: It holds no such study.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = RDBStorage(
            _uri(f"file:{quote(str(path.resolve()))}", mode="ro", uri="true"), skip_table_creation=True
        )
        return optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    except _FAULTS as error:
        fix = "delete it, the next call of the search writes it anew"
        raise StudyFolderError(f"holds no trials of {name}", where=str(path), fix=fix) from error


def _uri(database: str, **query: str) -> str:
    """The address of a SQLite file, whatever signs its path has."""
    return URL.create("sqlite", database=database, query=query).render_as_string(hide_password=False)


class Mirror:
    """The mirror at ``path``.

    Args:
        path: The SQLite file, which need not exist yet.
        name: Name of the Optuna study in the file.
        objectives: What is optimised.
        warn: Called once when the file can no longer be written.
    """

    def __init__(self, path: Path, name: str, objectives: Sequence[Objective], warn: Callable[[str], None]) -> None:
        self.path, self._name, self._warn = path, name, warn
        self._metrics = [objective.name for objective in objectives]
        self._modes = [objective.mode for objective in objectives]
        self._study: optuna.Study | None = None  # open for writing
        self._loaded: optuna.Study | None = None
        self._arms: set[str] = set()

    def attributes(self) -> dict[str, dict[str, Any]]:
        """System attributes that samplers stored with each mirrored trial, by arm; empty if the file is unreadable."""
        if not self.path.exists():
            return {}
        try:
            trials = self._load().get_trials(deepcopy=False)
            return {trial.user_attrs[ARM]: dict(trial.system_attrs) for trial in trials if ARM in trial.user_attrs}
        except _FAULTS:
            return {}

    def open(self, trials: Sequence[FrozenTrial]) -> None:
        """Make the file hold exactly ``trials``: missing ones are added; a file with any other trial is replaced."""
        wanted = [trial.user_attrs[ARM] for trial in trials]
        try:
            present = self._present()
            if present is None or present != wanted[: len(present)]:
                self._loaded = None
                self.path.unlink(missing_ok=True)
                present = []
            self._study = self._load()
            self._arms = set(present)
            for trial in trials[len(present) :]:
                self._add(trial)
        except _FAULTS as error:
            self._lost(error)

    def add(self, trial: FrozenTrial) -> None:
        """Add a finished trial unless it is already there."""
        if self._study is not None and trial.user_attrs[ARM] not in self._arms:
            try:
                self._add(trial)
            except _FAULTS as error:
                self._lost(error)

    def _add(self, trial: FrozenTrial) -> None:
        if self._study is None:
            raise RuntimeError("the mirror is not open")
        self._study.add_trial(trial)
        self._arms.add(trial.user_attrs[ARM])

    def _present(self) -> list[str] | None:
        """Arms of the mirrored trials in order; None if the file is not a mirror of this search."""
        if not self.path.exists():
            return []
        try:
            study = self._load()
            trials = study.get_trials(deepcopy=False)
            fits = [direction.name.lower() for direction in study.directions] == self._modes
        except _FAULTS:
            return None
        if not fits or any(not trial.state.is_finished() or ARM not in trial.user_attrs for trial in trials):
            return None
        return [trial.user_attrs[ARM] for trial in trials]

    def _load(self) -> optuna.Study:
        """The study in the file, created if there is none; read once."""
        if self._loaded is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            storage = RDBStorage(_uri(str(self.path.resolve())), engine_kwargs={"connect_args": {"timeout": 10}})
            self._loaded = optuna.create_study(
                storage=storage, study_name=self._name, directions=self._modes, load_if_exists=True
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._loaded.set_metric_names(self._metrics)
        return self._loaded

    def _lost(self, error: Exception) -> None:
        self._study = None
        reason = first_line(error)
        self._warn(f"{self.path} cannot be written ({reason}); the search goes on, the next start writes it anew")
