"""Config of texts: where they are, and how a text becomes numbers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fgtune.config.schema.base import BaseDataConfig, Config, Count, Text
from fgtune.config.schema.data_tables import check_columns_differ

TEXT_SUFFIXES = (".csv", ".tsv", ".parquet")


class TextColumnsConfig(Config):
    """What the columns of a table of texts mean; an empty cell or -1 means no label."""

    text: Text = "text"
    """Column of the texts."""
    coarse: Annotated[tuple[Text, ...], Field(min_length=1)] = ("coarse",)
    """The column of coarse labels, or one column per source."""
    fine: Text | None = None
    """Column of fine classes."""
    split: Text | None = None
    """Column of 'train', 'val', 'test', or 0, 1, 2."""

    @model_validator(mode="after")
    def _columns_differ(self) -> TextColumnsConfig:
        check_columns_differ([self.text, *self.coarse, *filter(None, (self.fine, self.split))], " in columns")
        return self


class TextConfig(BaseDataConfig):
    """Texts with labels, from a table or from folders of ``.txt`` files.

    A text becomes ``dimension`` numbers: TF-IDF weights of its terms and a truncated SVD of these (latent semantic
    analysis), both learned from the training texts of each seed.
    """

    kind: Literal["text"] = "text"
    path: Text
    """A ``.csv``, ``.tsv`` or ``.parquet`` with a column of texts, or a folder ``COARSE/*.txt`` or
    ``COARSE/FINE/*.txt``."""
    columns: TextColumnsConfig | None = None
    """The columns, where ``path`` is a table."""
    dimension: Annotated[int, Field(ge=1, le=4096)] = 100
    """Numbers that a text becomes; fewer where the texts have fewer terms."""
    ngrams: Annotated[int, Field(ge=1, le=5)] = 1
    """Terms are words, and with 2 also pairs of neighbouring words, and so on."""
    min_documents: Count = 2
    """A term must occur in this many training texts."""
    max_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """A term in a larger share of the training texts is left out, since it tells none apart."""
    max_terms: Count = 50_000
    """So many terms at most, those that occur most often in all texts."""
    stop_words: Literal["none", "english"] = "none"
    """Words left out beforehand; ``max_share`` leaves out most of them in any language."""
    cache: bool = True
    """Keep counts, beginnings of texts and what is learned of them on disk, so that no process works them out again;
    false keeps nothing there."""

    @model_validator(mode="after")
    def _suits_the_path(self) -> TextConfig:
        if (self.columns is not None) != self.path.lower().endswith(TEXT_SUFFIXES):
            raise ValueError("columns belongs to a path that ends in .csv, .tsv or .parquet, and such a path needs it")
        return self
