"""Models of fgtune as MLflow loads them: ``mlflow.pyfunc.load_model(uri).predict(inputs)`` gives a table.

MLflow finds ``_load_pyfunc`` by the name of this module, which the stored model carries; no object is pickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from fgtune.exporting.folder import ModelCard
    from fgtune.exporting.trained_model import FineModel


class FineClasses:
    """What MLflow calls to predict."""

    def __init__(self, model: FineModel, card: ModelCard) -> None:
        self._model, self._card = model, card

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002 (MLflow's)
        """Fine class, confidence and coarse parent of each sample.

        Args:
            model_input: Array (n, ...), table with one column an input, nested lists, or a mapping with one of them.
            params: Nothing can be set.

        Returns:
            One row a sample, as in ``labels.parquet``.

        Raises:
            ConfigError: The inputs are not like those in training.
        """
        import pandas as pd

        from fgtune.exporting.folder import label_table
        from fgtune.exporting.trained_model import checked_inputs, table_inputs

        where, facts = "inputs", self._model.inputs
        given = next(iter(model_input.values())) if isinstance(model_input, dict) else model_input
        array = table_inputs(given, facts, where) if isinstance(given, pd.DataFrame) else given
        inputs = checked_inputs(array, facts, where)
        return label_table(self._model.predict(inputs), self._card.coarse_names)


def _load_pyfunc(path: str) -> FineClasses:
    """The model in a folder; MLflow calls this."""
    from fgtune.exporting.folder import load_model

    return FineClasses(*load_model(Path(path)))
