"""Configs of data that come as vectors: a user's own arrays and tables, and single cells."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fgtune.config.schema.base import Config
from fgtune.config.schema.data_base import BaseDataConfig, Name, PositiveFloat

TABLE_SUFFIXES = (".csv", ".parquet")

CoarseRule = Literal["median", "argmax"]
"""How coarse labels follow from continuous fine targets: above the median of the first, or which of them is largest."""


class ArrayFilesConfig(Config):
    """The ``.npy`` files beside the inputs, one array each."""

    coarse: Name | None = None
    """(N,) or (N, sources) integers, -1 for none."""
    fine: Name | None = None
    """(N,) integers for classes; (N,) or (N, columns) real numbers for continuous targets."""
    split: Name | None = None
    """(N,) of 'train', 'val', 'test', or 0, 1, 2."""


class TableColumnsConfig(Config):
    """Which columns of a table mean what. Labels may be numbers or text; an empty cell or -1 means no label."""

    features: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Columns of numbers that form the inputs; None takes every column that is not named below."""
    coarse: tuple[Name, ...] = ()
    """One column of coarse labels a source."""
    fine: Name | None = None
    """Column of fine classes."""
    fine_values: tuple[Name, ...] = ()
    """Columns of continuous fine targets (an age, abundances)."""
    split: Name | None = None
    """Column of 'train', 'val', 'test', or 0, 1, 2."""

    @model_validator(mode="after")
    def _columns_differ(self) -> TableColumnsConfig:
        named = [*(self.features or ()), *self.coarse, *self.fine_values, *filter(None, (self.fine, self.split))]
        repeated = sorted({name for name in named if named.count(name) > 1})
        if repeated:
            raise ValueError(f"a column means one thing; {', '.join(repeated)} is named twice in columns")
        return self


class ArraysConfig(BaseDataConfig):
    """A user's own vectors, images or features, from ``.npz``, ``.npy``, ``.parquet`` or ``.csv``.

    ``.npz`` holds ``inputs`` (N, ...), ``coarse`` (N,) or (N, sources), and if known ``fine``, ``fine_values`` and
    ``split``; ``.npy`` holds the inputs, with ``files`` for the rest; tables need ``columns``. A coarse label of -1
    means that the source gives none.
    """

    kind: Literal["arrays"] = "arrays"
    path: Name
    """The file, relative to the working directory or absolute."""
    files: ArrayFilesConfig | None = None
    """The other arrays, where ``path`` is an ``.npy``."""
    columns: TableColumnsConfig | None = None
    """The columns, where ``path`` is a ``.csv`` or ``.parquet``."""
    derive_coarse: CoarseRule | None = None
    """Make the coarse labels from continuous fine targets, where the data bring none."""

    @model_validator(mode="after")
    def _suits_the_file(self) -> ArraysConfig:
        suffix = self.path[self.path.rfind(".") :].lower()
        if (self.files is not None) != (suffix == ".npy"):
            raise ValueError("files belongs to a path that ends in .npy, and such a path needs it")
        if (self.columns is not None) != (suffix in TABLE_SUFFIXES):
            raise ValueError("columns belongs to a path that ends in .csv or .parquet, and such a path needs it")
        given = (self.columns.coarse if self.columns else ()) or (self.files.coarse if self.files else None)
        if suffix in (".npy", *TABLE_SUFFIXES) and bool(given) == (self.derive_coarse is not None):
            raise ValueError("give coarse labels or derive_coarse, one of them")
        return self


class NoGenesConfig(Config):
    """Keep every gene."""

    kind: Literal["all"] = "all"


class SeuratV3Config(Config):
    """The genes whose counts vary most for their mean (Stuart et al. 2019), from raw counts."""

    kind: Literal["seurat_v3"] = "seurat_v3"
    count: Annotated[int, Field(ge=1)] = 2000
    """Number of genes kept."""
    span: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    """Share of genes in each local regression of the variance on the mean."""
    batch_key: Name | None = None
    """Column of cells' batches (patients, say): genes are ranked within each, and the ranks combined."""


class DispersionConfig(Config):
    """The genes of largest normalised dispersion (Satija et al. 2015), from log-normalised counts."""

    kind: Literal["dispersion"] = "dispersion"
    count: Annotated[int, Field(ge=1)] = 2000
    """Number of genes kept."""
    bins: Annotated[int, Field(ge=1)] = 20
    """Bins of the mean, within which dispersions are standardised."""


GenesConfig = Annotated[NoGenesConfig | SeuratV3Config | DispersionConfig, Field(discriminator="kind")]


class CountsConfig(Config):
    """From raw counts to log-normalised expression; the defaults are FALCON's on PBMC (appendix C)."""

    kind: Literal["counts"] = "counts"
    min_genes: Annotated[int, Field(ge=0)] = 200
    """A cell needs this many expressed genes."""
    min_cells: Annotated[int, Field(ge=0)] = 5
    """A gene needs this many cells that express it, counted after cells are filtered."""
    target_sum: PositiveFloat = 10_000.0
    """Counts of a cell after normalisation."""
    log1p: bool = True
    """Take log(1 + x) after normalisation."""
    genes: GenesConfig = SeuratV3Config()


class ReadyConfig(Config):
    """The expression matrix is used as it stands in the file."""

    kind: Literal["ready"] = "ready"


PreprocessConfig = Annotated[CountsConfig | ReadyConfig, Field(discriminator="kind")]


class SingleCellConfig(BaseDataConfig):
    """Single cells from an AnnData file; without a path, the 700 blood cells that scanpy carries (pbmc68k_reduced)."""

    kind: Literal["single_cell"] = "single_cell"
    path: Name | None = None
    """An ``.h5ad``; None reads ``pbmc68k_reduced`` from the installed scanpy."""
    fine: Name | None = None
    """Column of ``obs`` with cell states (fine classes)."""
    coarse: Name | None = None
    """Column of ``obs`` with cell types (coarse classes)."""
    coarse_of: dict[Name, Name] = Field(default_factory=dict)
    """Coarse class of each fine class, by name, in place of a column; cells of other fine classes are left out."""
    layer: Name | None = None
    """Layer of the matrix; None reads ``X``."""
    preprocess: PreprocessConfig | None = None
    """None: from raw counts for a file; as it stands for pbmc68k_reduced, which scanpy has scaled already."""

    @model_validator(mode="after")
    def _labels_agree(self) -> SingleCellConfig:
        if self.path is None:
            if self.fine or self.coarse or self.coarse_of or self.layer:
                raise ValueError("fine, coarse, coarse_of and layer need a path; pbmc68k_reduced brings its own")
            if isinstance(self.preprocess, CountsConfig):
                raise ValueError("pbmc68k_reduced holds no raw counts; preprocess must be ready or left out")
        elif (self.coarse is None) == (not self.coarse_of):
            raise ValueError("give coarse (a column) or coarse_of (fine name -> coarse name), one of them")
        elif self.coarse_of and self.fine is None:
            raise ValueError("coarse_of maps fine classes, so it needs fine")
        return self
