"""Configs of data that come as rows: synthetic and scikit-learn sets, a user's arrays and tables, and single cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from fgtune.config.schema.base import BaseDataConfig, Config, Count, Fraction, Names, PositiveFloat, Text

HALVES = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))
DigitSet = Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], Field(min_length=1, max_length=9)]
DigitGroups = tuple[Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], Field(min_length=1)], ...]


class DigitsConfig(BaseDataConfig):
    """scikit-learn's 1,797 handwritten 8x8 digits, pixel values scaled to [0, 1]; the digit is the fine class."""

    kind: Literal["digits"] = "digits"
    coarse_groups: DigitGroups = Field(default=HALVES, min_length=1)
    """Digits of each coarse class; a digit belongs to one group at most, digits in no group are left out."""
    second_groups: Annotated[DigitGroups, Field(min_length=1)] | None = None
    """Another grouping of the same digits, as a second source: it labels only the samples with odd index, and
    ``coarse_groups`` then those with even index."""
    label_sets: Annotated[dict[Text, DigitSet], Field(min_length=1)] | None = None
    """Sets of coarse labels in place of the groups: for each label, the digits that have it; all ten are used."""
    samples: Literal["all", "even", "odd"] = "all"
    """Use all samples, or only those with even or odd index."""

    @model_validator(mode="after")
    def _groups_disjoint(self) -> DigitsConfig:
        used = []
        for name, groups in (("coarse_groups", self.coarse_groups), ("second_groups", self.second_groups or ())):
            digits = [digit for group in groups for digit in group]
            repeated = sorted({digit for digit in digits if digits.count(digit) > 1})
            if repeated:
                raise ValueError(f"a digit belongs to one group at most; {repeated} appear more than once in {name}")
            used.append(set(digits))
        given = self.coarse_groups != HALVES or self.second_groups is not None
        if self.label_sets is not None and given:
            raise ValueError("label_sets stand in place of coarse_groups and second_groups; give one of them")
        if self.second_groups is not None and used[0] != used[1]:
            raise ValueError("coarse_groups and second_groups must hold the same digits")
        if self.second_groups is not None and self.samples != "all":
            raise ValueError("two groupings share the samples by index, so they need samples: all")
        return self


class DiabetesConfig(BaseDataConfig):
    """scikit-learn's 442 diabetes patients: 10 standardised measurements, and the progression after a year.

    The progression is a continuous fine target; the coarse class is whether it lies above its median.
    """

    kind: Literal["diabetes"] = "diabetes"


class PatchesConfig(BaseDataConfig):
    """The colour-patch images of Xu et al. (arXiv 2005.09681, section 4.1): one big and one small patch per image.

    The coarse class is the big patch, the fine class the small one. As published (``nested: false``) the two are drawn
    independently, so fine classes are not nested in coarse ones; ``nested: true`` gives each small patch one big
    parent. The paper states neither the canvas nor the patch sizes; both can be set here.
    """

    kind: Literal["patches"] = "patches"
    nested: bool = False
    num_images: Annotated[int, Field(ge=10)] = 512
    num_big: Count = 32
    """Number of big patches = coarse classes."""
    num_small: Count = 128
    """Number of small patches = fine classes."""
    canvas: Annotated[int, Field(ge=8)] = 32
    """Side of the square image in pixels."""
    big_size: Count = 14
    """Side of a big patch in pixels."""
    small_size: Count = 5
    """Side of a small patch in pixels."""
    data_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the images themselves, apart from the seeds of the study."""

    @model_validator(mode="after")
    def _patches_fit(self) -> PatchesConfig:
        total = self.big_size + self.small_size
        if total > self.canvas:
            raise ValueError(f"big_size + small_size must be <= canvas ({self.canvas}), they sum to {total}")
        if self.nested and self.num_small < self.num_big:
            raise ValueError(f"nested patches need num_small >= num_big, got {self.num_small} < {self.num_big}")
        if self.num_images < max(self.num_big, self.num_small):
            raise ValueError(
                f"num_images must be >= num_big and num_small, so that every patch occurs; got {self.num_images} < "
                f"{max(self.num_big, self.num_small)}"
            )
        return self


class HierarchyConfig(BaseDataConfig):
    """Gaussian fine classes around coarse centres: a two-level tree of adjustable difficulty."""

    kind: Literal["hierarchy"] = "hierarchy"
    num_samples: Annotated[int, Field(ge=10)] = 2000
    num_coarse: Count = 4
    fine_per_coarse: Count | Annotated[tuple[Count, ...], Field(min_length=1)] = 3
    """Fine classes in each coarse class; one number, or one number per coarse class."""
    dim: Count = 16
    """Number of input dimensions."""
    separation: PositiveFloat = 4.0
    """Expected distance between fine centres of one coarse class, in standard deviations of a fine class."""
    coarse_separation: PositiveFloat = 8.0
    """Expected distance between coarse centres, in the same unit."""
    imbalance: Annotated[float, Field(ge=1.0)] = 1.0
    """Ratio of the largest to the smallest fine class; sizes fall geometrically."""
    coarse_noise: Fraction = 0.0
    """Share of samples whose coarse label is replaced by a uniformly drawn other one, after ``non_nested``."""
    non_nested: Fraction = 0.0
    """Share of each fine class that carries a second parent's label: one other coarse class, fixed per fine class."""
    data_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the samples themselves, apart from the seeds of the study."""

    @model_validator(mode="after")
    def _shape_agrees(self) -> HierarchyConfig:
        sizes = self.fine_per_coarse
        if isinstance(sizes, int) and self.num_coarse * sizes > self.num_samples:  # before a list of them is made
            classes = self.num_coarse * sizes
            raise ValueError(f"num_samples must be >= the number of fine classes ({classes}), got {self.num_samples}")
        if isinstance(sizes, tuple) and len(sizes) != self.num_coarse:
            raise ValueError(
                f"fine_per_coarse needs one number per coarse class ({self.num_coarse}), it has {len(sizes)}"
            )
        if self.num_coarse == 1 and (self.coarse_noise > 0 or self.non_nested > 0):
            raise ValueError("coarse_noise and non_nested need at least two coarse classes")
        if isinstance(sizes, tuple) and self.num_samples < sum(sizes):
            raise ValueError(
                f"num_samples must be >= the number of fine classes ({sum(sizes)}), got {self.num_samples}"
            )
        return self

    @property
    def fine_in_each(self) -> tuple[int, ...]:
        """Number of fine classes in each coarse class."""
        sizes = self.fine_per_coarse
        return sizes if isinstance(sizes, tuple) else (sizes,) * self.num_coarse


TABLE_SUFFIXES = (".csv", ".parquet")

CoarseRule = Literal["median", "argmax"]
"""How coarse labels follow from continuous fine targets: above the median of the first, or which of them is largest."""


class ArrayFilesConfig(Config):
    """The ``.npy`` files that accompany the inputs, one array each."""

    coarse: Text | None = None
    """(N,) or (N, sources) integers, -1 for none, or text."""
    fine: Text | None = None
    """(N,) integers or text for classes; (N,) or (N, columns) real numbers for continuous targets."""
    split: Text | None = None
    """(N,) of 'train', 'val', 'test', or 0, 1, 2."""


def check_columns_differ(columns: Iterable[str], place: str = "") -> None:
    """Raise ``ValueError`` where a column is named for two things; ``place`` ends the sentence."""
    repeated = sorted(name for name, times in Counter(columns).items() if times > 1)
    if repeated:
        raise ValueError(f"a column means one thing; {', '.join(repeated)} is named twice{place}")


class TableColumnsConfig(Config):
    """What the columns of a table mean. Labels may be numbers or text; an empty cell or -1 means no label."""

    features: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Columns of numbers that form the inputs; None takes every column that is not named below, and leaves out with a
    warning what numbers rows, identifies samples or repeats a label."""
    exclude: Names = ()
    """Columns that are not inputs, where ``features`` names none."""
    keep: Names = ()
    """Columns that are inputs although they look like row numbers, identifiers or labels."""
    one_hot: Names = ()
    """Columns of text or codes of which every value becomes an input of its own, 1 where a row has it."""
    coarse: Names = ()
    """The column of coarse labels, or one column per source."""
    fine: Text | None = None
    """Column of fine classes."""
    fine_values: tuple[Text, ...] = ()
    """Columns of continuous fine targets (an age, abundances)."""
    split: Text | None = None
    """Column of 'train', 'val', 'test', or 0, 1, 2."""

    @model_validator(mode="after")
    def _columns_differ(self) -> TableColumnsConfig:
        inputs = [*(self.features or ()), *self.exclude, *self.keep]
        inputs += [name for name in self.one_hot if name not in inputs or name in self.exclude]
        named = [*inputs, *self.coarse, *self.fine_values, *filter(None, (self.fine, self.split))]
        check_columns_differ(named, " in columns")
        if self.features is not None and (self.exclude or self.keep):
            raise ValueError("features names all inputs, so exclude and keep have no meaning beside it")
        return self


Standardize = Annotated[
    Literal[True, "robust", "none"] | None, BeforeValidator(lambda given: "none" if given is False else given)
]
"""How features are brought to one scale."""


class ArraysConfig(BaseDataConfig):
    """A user's own vectors, images or features, from ``.npz``, ``.npy``, ``.parquet`` or ``.csv``.

    ``.npz`` holds ``inputs`` (N, ...), ``coarse`` (N,) or (N, sources), and if known ``fine``, ``fine_values`` and
    ``split``; ``.npy`` holds the inputs, with ``files`` for the rest; tables need ``columns``. A coarse label of -1
    or a missing one means that the source gives none.
    """

    kind: Literal["arrays"] = "arrays"
    path: Text
    """The file, relative to the working directory or absolute."""
    files: ArrayFilesConfig | None = None
    """The other arrays, where ``path`` is an ``.npy``."""
    columns: TableColumnsConfig | None = None
    """The columns, where ``path`` is a ``.csv`` or ``.parquet``."""
    derive_coarse: CoarseRule | None = None
    """Make the coarse labels from continuous fine targets, where the data have none."""
    fine_as: Literal["classes", "values"] | None = None
    """What the numbers in ``fine`` of an ``.npz`` or ``.npy`` are. None: classes where they are integers, continuous
    targets where they are real; a table says it by the column's place, ``fine`` or ``fine_values``."""

    standardize: Standardize = None
    """Bring every feature to mean 0 and standard deviation 1 (true), or by median and interquartile range (robust), as
    found in the training split of each seed. None leaves them as they are and warns where scales differ 100-fold."""
    impute: Literal["median", "mean"] | float | None = None
    """What stands for a missing feature: its median or mean in the training split, or a number; None is an error."""

    @model_validator(mode="after")
    def _suits_the_file(self) -> ArraysConfig:
        suffix = self.path[self.path.rfind(".") :].lower()
        if (self.files is not None) != (suffix == ".npy"):
            raise ValueError("files belongs to a path that ends in .npy, and such a path needs it")
        if (self.columns is not None) != (suffix in TABLE_SUFFIXES):
            raise ValueError("columns belongs to a path that ends in .csv or .parquet, and such a path needs it")
        if self.fine_as is not None and suffix in TABLE_SUFFIXES:
            raise ValueError("fine_as belongs to arrays; of a table, name the column under fine or fine_values")
        given = (self.columns.coarse if self.columns else ()) or (self.files.coarse if self.files else None)
        if suffix in (".npy", *TABLE_SUFFIXES) and bool(given) == (self.derive_coarse is not None):
            raise ValueError("give coarse labels or derive_coarse, one of them")
        return self


class NoGenesConfig(Config):
    """Keep every gene."""

    kind: Literal["all"] = "all"


class SeuratV3Config(Config):
    """The genes whose counts vary most given their mean (Stuart et al. 2019), from raw counts."""

    kind: Literal["seurat_v3"] = "seurat_v3"
    count: Count = 2000
    """Number of genes kept."""
    span: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    """Share of genes in each local regression of the variance on the mean."""
    batch_key: Text | None = None
    """Column of cells' batches (patients, say): genes are ranked within each, and the ranks combined."""


class DispersionConfig(Config):
    """The genes of largest normalised dispersion (Satija et al. 2015), from log-normalised counts."""

    kind: Literal["dispersion"] = "dispersion"
    count: Count = 2000
    """Number of genes kept."""
    bins: Count = 20
    """Bins of the mean, within which dispersions are standardised."""


GenesConfig = Annotated[NoGenesConfig | SeuratV3Config | DispersionConfig, Field(discriminator="kind")]


class CountsConfig(Config):
    """From raw counts to log-normalised expression; the defaults are FALCON's on PBMC (appendix C)."""

    kind: Literal["counts"] = "counts"
    min_genes: Annotated[int, Field(ge=0)] = 200
    """A cell must express this many genes."""
    min_cells: Annotated[int, Field(ge=0)] = 5
    """A gene must be expressed in this many cells, counted after cells are filtered."""
    target_sum: PositiveFloat = 10_000.0
    """Total count of each cell after normalisation."""
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
    path: Text | None = None
    """An ``.h5ad``; None reads ``pbmc68k_reduced`` from the installed scanpy."""
    fine: Text | None = None
    """Column of ``obs`` with cell states (fine classes)."""
    coarse: Text | None = None
    """Column of ``obs`` with cell types (coarse classes)."""
    coarse_of: dict[Text, Text] = Field(default_factory=dict)
    """Coarse class of each fine class, by name, in place of a column; cells of other fine classes are left out."""
    layer: Text | None = None
    """Layer of the matrix; None reads ``X``."""
    preprocess: PreprocessConfig | None = None
    """None: from raw counts for a file; as it stands for pbmc68k_reduced, which scanpy has scaled already."""
    standardize: Standardize = None
    """Bring every gene to mean 0 and standard deviation 1 (true), or by median and interquartile range (robust), as
    found in the training split of each seed, after preprocessing. None and none leave them as they are."""

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
