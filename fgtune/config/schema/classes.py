"""The fine classes: how many, how they are formed, and how their relations to the coarse ones are found."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from fgtune.config.schema.base import Config, Count, PositiveFloat, Weight
from fgtune.config.schema.plugin import BY_KIND, PLUGIN, SHIPPED, PluginConfig


class BaseEstimatorConfig(Config):
    """What all estimators of K_F share: they cluster raw training inputs."""

    max_samples: Annotated[int, Field(ge=10)] = 2000
    """Samples used per coarse class, drawn by seed; the cost is quadratic in it."""


class KMeansEstimatorConfig(BaseEstimatorConfig):
    """What the estimators share that use k-means on principal components within each coarse class."""

    max_per_coarse: Annotated[int, Field(ge=2)] = 12
    """Largest number of fine classes considered in a coarse class."""
    pca_variance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    """Share of a coarse class's variance that its principal components keep; 1 keeps all."""
    restarts: Count = 4
    """Restarts of each k-means; the best one counts."""


class AgreementEstimatorConfig(KMeansEstimatorConfig):
    """The largest number of k-means clusters on which subsamples agree about best, relative to Gaussian samples."""

    kind: Literal["agreement"] = "agreement"
    pca_variance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Share of a coarse class's variance that its principal components keep; 1 keeps all."""
    restarts: Count = 3
    """Restarts of each k-means; the best one counts."""
    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.7
    """Share of a coarse class in a subsample."""
    repeats: Annotated[int, Field(ge=2)] = 6
    """Subsamples; every two of them are compared."""
    references: Count = 4
    """Gaussian samples that agreement is related to; the clusters chosen must be tighter than in each of them."""
    tolerance: Annotated[float, Field(ge=0.0)] = 0.05
    """How far below the best agreement a larger number of clusters may be, to be preferred."""
    threshold: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25
    """Share of what is left above the Gaussians' agreement that must be reached; below, a coarse class is one class."""


class DeepEmbeddingEstimatorConfig(BaseEstimatorConfig):
    """Density peaks in a t-SNE embedding of an auto-encoder's code in two dimensions; it needs no maximum K.

    The steps are those of Wang et al. (AAAI 2018), which FALCON cites for its numbers. Not verified against the
    authors' code: none was released.
    """

    kind: Literal["deep_embedding"] = "deep_embedding"
    max_samples: Annotated[int, Field(ge=10)] = 2000
    """Samples used per coarse class, or in all with ``scope: all``, drawn by seed; the cost is quadratic in it."""
    scope: Literal["coarse", "all"] = "coarse"
    """``coarse``: each coarse class alone, and the sum counts. ``all``: one estimate over all training samples,
    whatever their labels; it is at least the number of coarse classes. Which of the
    two was FALCON's is not published."""
    hidden: Annotated[tuple[Count, ...], Field(min_length=1, strict=False)] = (256, 128)
    """Width of each hidden layer of the encoder; the decoder has them in reverse. Usual for all samples of a large data
    set are 500, 500, 2000 (Xie et al. 2016)."""
    code: Count = 10
    """Dimensions of the code."""
    epochs: Count = 100
    """Passes over the samples."""
    lr: PositiveFloat = 1e-3
    """Learning rate of Adam."""
    perplexity: Annotated[float, Field(ge=2.0)] = 30.0
    """Of t-SNE: about how many neighbours a sample keeps near; at most a third of the samples."""
    ratio: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Cut-off distance d_c of the densities, as a share of the mean distance in the embedding (Ren et al. 2020: 0.1); a
    larger one finds fewer classes."""
    neighbors: Count = 20
    """d_c is at least the mean distance to the so many-th nearest sample, since a share of the mean holds no other
    sample where there are few; not published. A coarse class of no more samples is one class."""


class PruningEstimatorConfig(KMeansEstimatorConfig):
    """Over-cluster, annihilate components that do not pay for their parameters, merge pairs that one normal explains.

    Component-wise EM with a minimum message length (Figueiredo and Jain 2002) on spherical Gaussians of one variance,
    then greedy merging by the BIC of one against two normals on the axis between two clusters.
    """

    kind: Literal["pruning"] = "pruning"
    axis_cost: Annotated[float, Field(ge=0.0)] | None = 0.5
    """Parameters per dimension that a pair of clusters is charged, when a merge is considered, for having chosen the
    axis between them; larger merges more. None merges nothing."""


class SilhouetteEstimatorConfig(KMeansEstimatorConfig):
    """The number of k-means clusters with the largest mean silhouette, or one where a Gaussian scores as high."""

    kind: Literal["silhouette"] = "silhouette"
    references: Annotated[int, Field(ge=2)] = 5
    """Gaussian samples of the same covariance; to be split, the data must exceed their best silhouettes by two standard
    deviations."""


class StabilityEstimatorConfig(KMeansEstimatorConfig):
    """The largest number of clusters that two halves of the data agree on: prediction strength."""

    kind: Literal["stability"] = "stability"
    threshold: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """Prediction strength needed (Tibshirani and Walther 2005: 0.8 to 0.9)."""
    repeats: Count = 5
    """Random halvings that the strength is averaged over."""


EstimatorConfig = Annotated[
    AgreementEstimatorConfig
    | DeepEmbeddingEstimatorConfig
    | PruningEstimatorConfig
    | SilhouetteEstimatorConfig
    | StabilityEstimatorConfig,
    Field(discriminator="kind"),
]

ESTIMATE: Literal["estimate"] = "estimate"
"""In place of a number: each trial estimates K_F."""


def _form(value: object) -> str:
    """Whether a value is meant as the word or as a number, so that an error is about the one that was meant."""
    return "word" if isinstance(value, str) else "number"


NumFine = Annotated[
    Annotated[Count, Tag("number")] | Annotated[Literal["estimate"], Tag("word")],
    Discriminator(_form),
]


class ClassesConfig(Config):
    """The number of fine classes K_F: ``num_fine``, or ``num_fine_ratio`` times the number that the data holds."""

    num_fine: NumFine | None = None
    """K_F itself, or the word ``estimate``: each trial then estimates it from the inputs and coarse labels of its
    training split. Needs no fine labels."""
    num_fine_ratio: PositiveFloat | None = None
    """K_F / K_F*, rounded half up. Reads the true number of fine classes, so it is an oracle setting."""
    estimator: EstimatorConfig | None = None
    """How K_F is estimated; only with ``num_fine: estimate``, where ``agreement`` is the default."""

    @model_validator(mode="before")
    @classmethod
    def _default_estimator(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("num_fine") == ESTIMATE and data.get("estimator") is None:
            return data | {"estimator": {"kind": "agreement"}}
        return data

    @model_validator(mode="after")
    def _agrees(self) -> ClassesConfig:
        if (self.num_fine is None) == (self.num_fine_ratio is None):
            raise ValueError("give exactly one of num_fine and num_fine_ratio")
        if self.estimator is not None and self.num_fine != ESTIMATE:
            raise ValueError("an estimator needs num_fine: estimate")
        return self

    @property
    def number(self) -> int | None:
        """K_F where it is a number already; None where it is to be estimated, or to be resolved from a ratio."""
        return self.num_fine if isinstance(self.num_fine, int) else None


class FlowSolverConfig(Config):
    """Exact successive shortest paths in NumPy."""

    kind: Literal["flow"] = "flow"


class ScipSolverConfig(Config):
    """The binary quadratic programme as stated, by SCIP's branch and bound."""

    kind: Literal["scip"] = "scip"
    time_limit_s: PositiveFloat = 30.0


class CvxpySolverConfig(Config):
    """The programme linearised by slots; its LP relaxation, which is integral, by CVXPY with HiGHS."""

    kind: Literal["cvxpy"] = "cvxpy"
    time_limit_s: PositiveFloat = 30.0


_ShippedSolverConfig = Annotated[FlowSolverConfig | ScipSolverConfig | CvxpySolverConfig, Field(discriminator="kind")]

SolverConfig = Annotated[Annotated[_ShippedSolverConfig, SHIPPED] | Annotated[PluginConfig, PLUGIN], BY_KIND]


GroupSizes = Annotated[tuple[Count, ...], Field(min_length=1)]


class RelationsConfig(Config):
    """How the relations M between fine and coarse classes are found."""

    mode: Literal["learned", "oracle", "random_balanced"] = "learned"
    """``oracle`` reads fine labels to know the true M; ``random_balanced`` fixes a random M with equal column sizes."""
    solver: SolverConfig = FlowSolverConfig()
    sizes: Literal["balanced", "coarse_shares", "variance"] | GroupSizes = "balanced"
    """How many fine classes each coarse class starts with, which the balance pulls to: equally many (published), by its
    share of the samples, or by its variance (each further class where it lowers the sum of squares of k-means on the
    inputs most), or numbers, one per coarse class of the only source, summing to K_F. Only with ``mode: learned``."""
    balance: Weight = 1.0
    """b = beta / beta*, with beta* = K_C / (2 K_F): at 1, the sizes become nearly a hard constraint."""
    balance_after_soft: bool = False
    """Keep the balance term after the soft phase; the reference drops it there."""
    every_steps: Count = 20
    """Solve again every so many optimiser steps, counted over the whole training."""
