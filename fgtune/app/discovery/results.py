"""What ``fgtune.discover`` returns: what was found, the classes of all samples as a table, and a view for notebooks."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune.analysis.discovery.text import num_fine_text
from fgtune.analysis.small_html import paragraph, small_table
from fgtune.app.discovery.call import MODEL, REPORT
from fgtune.text import count

if TYPE_CHECKING:
    import pandas as pd

    from fgtune.analysis.discovery.outcome import Discovery

_TEXTS = ("coarse_label", "fine_class", "second_choice")
"""Columns of ``classes.csv`` that are text, whatever they look like."""
_ROW = "row"
"""Heads the first column where samples have numbers instead of names."""


class DiscoveryResults:
    """A finished discovery.

    It also has every attribute of ``outcome`` (``classes``, ``num_fine``, ``method``, ``warnings``, ...).

    Attributes:
        outcome: What was found; the same as in ``discover.json``.
        folder: The folder with all results.
    """

    def __init__(self, outcome: Discovery, folder: Path, index: pd.Index | None = None) -> None:
        """Of a finished call.

        Args:
            outcome: What was found.
            folder: Its folder.
            index: Names of the rows of the table that the samples were given in; None for their number.
        """
        self.outcome, self.folder, self._index = outcome, folder, index

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a sample, in the order of the data: coarse label, fine class, confidence, second choice.

        Rows of a DataFrame that was given keep its index, so that ``given.join(found.table)`` puts both side by side.
        """
        import pandas as pd

        from fgtune.app.discovery.describe import CLASSES

        file = self.folder / CLASSES
        names = [str(name) for name in pd.read_csv(file, nrows=0).columns]
        texts = dict.fromkeys((*names[: names[0] != _ROW], *_TEXTS), str)
        table = pd.read_csv(file, header=0, names=names, dtype=texts, keep_default_na=False)
        return table if self._index is None else table.set_axis(self._index, axis="index")

    @property
    def report(self) -> Path:
        """The page with all of it."""
        return self.folder / REPORT

    @property
    def model(self) -> Path:
        """The folder of the model, for ``fgtune predict``."""
        return self.folder / MODEL

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "outcome":  # not there while a copy is being made
            raise AttributeError(name)
        return getattr(self.outcome, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(self.outcome) if not name.startswith("_"))})

    def __repr__(self) -> str:
        found = self.outcome
        classes = f"{count(len(found.classes), 'fine class', 'fine classes')} of {count(found.samples, 'sample')}"
        return f"DiscoveryResults({classes} by {found.method.arm}, in {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        found = self.outcome
        chosen = next(each for each in found.method.candidates if each.arm == found.method.arm)
        heads = ["fine class", "samples", "of its coarse class", "mean confidence"]
        heads += [f"found again in {count(found.runs, 'other run')}"] * bool(found.runs)
        rows = [
            [each.name, f"{each.size:,}", f"{each.share:.0%}", f"{each.confidence:.0%}"]
            + [str(each.found_again)] * bool(found.runs)
            for each in found.classes
        ]
        coarse = count(len(found.coarse_names), "coarse class", "coarse classes")
        title = f"{found.samples:,} samples in {coarse} ({found.coarse}), by {chosen.title}."
        return (
            paragraph(title, num_fine_text(found.num_fine))
            + small_table(heads, rows)
            + "".join(paragraph(text, "before you believe it:") for text in found.warnings)
            + paragraph(str(self.report), "report:")
        )
