"""Refitted models in MLflow: logging them, and loading them for ``mlflow.pyfunc.load_model(uri).predict(inputs)``.

MLflow finds ``_load_pyfunc`` by the name of this module, which is stored with the model; no object is pickled. A model
is logged once, below the study's own run if there is one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune import __version__
from fgtune.errors import ConfigError, TrackingError
from fgtune.tracking import layout, tracking_uri
from fgtune.tracking.variables import naming_variables

if TYPE_CHECKING:
    import pandas as pd

    from fgtune.data.base import Inputs
    from fgtune.exporting.folder import ModelCard
    from fgtune.exporting.trained_model import FineModel
    from fgtune.tracking.store import Store

LOADER = "fgtune.tracking.pyfunc"
_DIGEST = "fgtune.model_digest"


def open_model_log(
    uri: str | None = None, *, environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> ModelLog | None:
    """Open the tracking store for models; None if tracking is turned off. Arguments as for ``open_tracker``.

    Raises:
        ConfigError: The store cannot be used; nothing was logged.
    """
    chosen = tracking_uri(uri, environ)
    if chosen.strip().lower() == "none":
        return None
    with naming_variables(uri, environ):
        from fgtune.tracking.store import open_store

        return ModelLog(open_store(chosen, directory or Path.cwd()))


class ModelLog:
    """Logs models into one store through a client bound to it; MLflow's global state is left alone."""

    def __init__(self, store: Store) -> None:
        self._store, self._client = store, store.client

    @property
    def uri(self) -> str:
        """The store, without passwords."""
        return self._store.uri

    def log(self, folder: Path, card: ModelCard) -> str:
        """Log the model in ``folder`` as a pyfunc, in its own run below the study's run.

        Returns:
            The URI for ``mlflow.pyfunc.load_model``; if the store already holds exactly these files, the existing one.

        Raises:
            ConfigError: The experiment of this name was deleted in MLflow.
            TrackingError: The store rejected it.
        """
        from fgtune.tracking.mlflow_tracker import FAULTS
        from fgtune.tracking.store import brief_reason, quiet_mlflow

        try:
            with quiet_mlflow():
                return self._log(folder, card)
        except FAULTS as fault:
            raise TrackingError(f"{self.uri} did not take the model: {brief_reason(fault)}") from fault

    def _log(self, folder: Path, card: ModelCard) -> str:
        from fgtune.tracking.study_runs import experiment_id, refuse_deleted

        restore = "mlflow experiments restore --experiment-id"
        refuse_deleted(self._client, card.study, restore, "add --tracking-uri none")
        experiment = experiment_id(self._store, card.study)
        digest = hashlib.sha256("".join(card.files[name] for name in sorted(card.files)).encode()).hexdigest()[:16]
        for model in self._client.search_logged_models([experiment], filter_string=f"tags.`{_DIGEST}` = '{digest}'"):
            if model.status.value == "READY":
                return str(model.model_uri)
        run = self._run(experiment, card, digest)
        return self._upload(experiment, run, folder, card, digest)

    def _run(self, experiment: str, card: ModelCard, digest: str) -> str:
        """A new run for the model, with its origin and its metrics."""
        from fgtune.tracking.study_runs import write

        tags = {
            "fgtune.role": "model",
            "fgtune.study": card.study,
            "fgtune.study_hash": card.study_hash,
            "fgtune.arm": card.arm,
            "fgtune.seed": str(card.seed),
            "fgtune.cell_id": card.cell_id,
            "fgtune.version": card.fgtune,
            _DIGEST: digest,
            "mlflow.source.name": "fgtune refit",
            "mlflow.source.type": "LOCAL",
            "mlflow.note.content": layout.shortened(card.chosen_by, layout.MAX_TAG),
        }
        parent = self._parent(experiment, card.study_hash)
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        name = f"model {card.arm} / seed {card.seed}"
        run = str(self._client.create_run(experiment, tags=tags, run_name=name).info.run_id)
        now = self._client.get_run(run).info.start_time
        points = [layout.Point(layout.safe_key(name), value, now, 0) for name, value in card.metrics.items()]
        write(self._client, run, points, {"seed": str(card.seed), "num_fine": str(card.num_fine), "arm": card.arm})
        return run

    def _parent(self, experiment: str, study_hash: str) -> str | None:
        """The study's own run, or None if the study was not tracked in this store."""
        found = self._client.search_runs(
            [experiment],
            filter_string=f"tags.`fgtune.study_hash` = '{study_hash}' and tags.`fgtune.role` = 'study'",
            max_results=1,
            order_by=["attributes.start_time ASC"],
        )
        return str(found[0].info.run_id) if found else None

    def _upload(self, experiment: str, run: str, folder: Path, card: ModelCard, digest: str) -> str:
        """Store the files, and mark the model as ready once they are complete."""
        import mlflow.pyfunc
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        tags = {_DIGEST: digest, "fgtune.arm": card.arm, "fgtune.study_hash": card.study_hash}
        params = {"arm": card.arm, "seed": str(card.seed), "num_fine": str(card.num_fine)}
        logged = self._client.create_logged_model(experiment, _model_name(card), run, tags, params, "fgtune")
        try:
            with tempfile.TemporaryDirectory(prefix="fgtune-") as scratch:
                local = Path(scratch, "model")
                mlflow.pyfunc.save_model(
                    local,
                    loader_module=LOADER,
                    data_path=str(folder),
                    mlflow_model=Model(run_id=run, model_id=logged.model_id, model_uuid=logged.model_id),
                    pip_requirements=[f"fgtune=={__version__}"],
                    metadata={"fgtune": {"arm": card.arm, "seed": card.seed, "study": card.study}},
                )
                self._client.log_model_artifacts(logged.model_id, os.fspath(local))
        except BaseException:
            self._client.finalize_logged_model(logged.model_id, "FAILED")
            self._client.set_terminated(run, "FAILED")
            raise
        ready = self._client.finalize_logged_model(logged.model_id, "READY")
        self._client.log_outputs(run, [LoggedModelOutput(model_id=logged.model_id, step=0)])
        self._client.set_terminated(run, "FINISHED")
        return str(ready.model_uri)


def _model_name(card: ModelCard) -> str:
    """A name that MLflow accepts: without slashes, colons, dots, percent signs and quotes."""
    kept = "".join(letter if letter.isalnum() or letter in "-_+=@" else "_" for letter in card.arm)
    return f"{kept}-seed{card.seed}"[:250]


# --- loading ---------------------------------------------------------------------------------------------------------


class FineClasses:
    """The object that MLflow calls to predict."""

    def __init__(self, model: FineModel, card: ModelCard) -> None:
        self._model, self._card = model, card

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002 (MLflow's)
        """Fine class, confidence and coarse parent of each sample.

        Args:
            model_input: Array (n, ...), table with one column per input, nested lists, or a mapping with one of these;
                a mapping may hold ``coarse`` too, the coarse labels (n,) or (n, sources), empty or -1 for none, which
                restrict the fine class.
            params: Ignored.

        Returns:
            One row per sample, as in ``labels.parquet``.

        Raises:
            ConfigError: The inputs do not match those in training.
        """
        import numpy as np
        import pandas as pd

        from fgtune.exporting.coarse_labels import by_source, coarse_codes
        from fgtune.exporting.folder import label_table
        from fgtune.exporting.trained_model import checked_inputs, table_inputs

        where, facts = "inputs", self._model.inputs
        data, coarse = model_input, None
        if isinstance(model_input, dict):
            data = next((value for name, value in model_input.items() if name != "coarse"), model_input)
            coarse = model_input.get("coarse")
        if self._model.embedding is not None:
            inputs: Inputs = self._model.embedding(_texts(data, self._model.embedding.form.column))
        else:
            array = table_inputs(data, facts, where) if isinstance(data, pd.DataFrame) else data
            inputs = checked_inputs(array, facts, where)
        if coarse is not None:
            columns = by_source(np.asarray(coarse, dtype=object))
            coarse = coarse_codes(columns, len(inputs), self._card, where, "coarse")
        return label_table(self._model.predict(inputs, coarse), self._card.coarse_names, coarse)


def _texts(data: Any, column: str | None) -> list[str]:
    """The texts in a table, by the column that held them in training or in its only one, or in a list of them."""
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        name = column if column in data.columns or data.shape[1] != 1 else data.columns[0]
        if name not in data.columns:
            raise ConfigError(f"the table lacks the column of texts {name or 'text'!r}", where="inputs")
        data = data[name]
    texts = np.asarray(data, dtype=object).reshape(-1).tolist()
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ConfigError("samples must be texts, none of them empty", where="inputs")
    return texts


def _load_pyfunc(path: str) -> FineClasses:
    """The model in a folder; MLflow calls this."""
    from fgtune.exporting.folder import load_model

    return FineClasses(*load_model(Path(path)))
