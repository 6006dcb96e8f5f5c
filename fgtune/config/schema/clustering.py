"""How fine classes are clustered where no term of the objective learns them: one section a kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from fgtune.config.schema.base import Config, Count, OpenFraction, PositiveFloat, Weight

_MaxSamples = Annotated[int, Field(ge=10)]


class BaseClusteringConfig(Config):
    """What all kinds of clustering share."""

    scope: Literal["coarse", "global"] = "coarse"
    """Cluster within each coarse class (GEORGE-like), or all samples together."""
    sizes: Literal["balanced", "variance"] = "balanced"
    """Clusters per coarse class: the same number, or more where one more lowers the sum of squares of k-means most."""
    pca: Count | OpenFraction | None = None
    """Cluster principal components of the training features: so many, or as many as explain this share of their
    variance; null clusters the features themselves."""


def _kind_may_be_left_out(schema: dict[str, Any]) -> None:
    """Mark ``kind`` as optional in the JSON schema; elsewhere it is required."""
    schema["x-kind"] = "optional"


class KMeansClusteringConfig(BaseClusteringConfig):
    """k-means, the kind where none is named; a sample belongs to the nearest centre."""

    model_config = ConfigDict(json_schema_extra=_kind_may_be_left_out)
    implied: ClassVar[Mapping[str, Any]] = {"kind": "kmeans"}

    kind: Literal["kmeans"] = "kmeans"
    restarts: Count = 10
    """Restarts of k-means; the best one counts."""


class GmmClusteringConfig(BaseClusteringConfig):
    """A Gaussian mixture; a sample belongs to the most probable component."""

    kind: Literal["gmm"] = "gmm"
    covariance: Literal["full", "tied", "diag"] = "full"
    """A covariance of its own for each cluster, one for all clusters of a coarse class, or without correlations."""
    regularization: PositiveFloat = 0.1
    """Added to every variance, as a share of the mean variance of a feature, so that small clusters in many dimensions
    have a covariance."""
    restarts: Count = 10
    """Restarts; the most likely mixture counts."""


class SpectralClusteringConfig(BaseClusteringConfig):
    """Spectral clustering of the graph of nearest neighbours; a new sample joins the nearest that was clustered."""

    kind: Literal["spectral"] = "spectral"
    neighbors: Count = 10
    """Neighbours of a sample in the graph; more where the graph would have more parts than there are clusters."""
    restarts: Count = 10
    """Restarts of the k-means on the embedding; the best one counts."""
    max_samples: _MaxSamples = 5000
    """Samples clustered per coarse class, or in all with ``scope: global``, drawn by seed; others join the nearest."""


class AgglomerativeClusteringConfig(BaseClusteringConfig):
    """Clusters merged pair by pair; a new sample joins the nearest that was clustered."""

    kind: Literal["agglomerative"] = "agglomerative"
    linkage: Literal["ward", "average"] = "ward"
    """Merge what raises the sum of squares least, or what has the smallest mean distance."""
    max_samples: _MaxSamples = 5000
    """Samples clustered per coarse class, or in all with ``scope: global``, drawn by seed; others join the nearest.
    Memory is quadratic in it."""


class GeorgeClusteringConfig(BaseClusteringConfig):
    """The clustering of GEORGE (Sohoni et al. 2020): a reduction, a Gaussian mixture, and parts of its clusters.

    A coarse class gets at most its share of the fine classes; those that are not found stay empty.
    """

    kind: Literal["george"] = "george"
    reduction: Literal["umap", "pca", "none"] = "umap"
    """Of normalised features, coarse class by coarse class; umap needs ``fgtune[umap]``."""
    components: Count = 2
    """Numbers that are left."""
    neighbors: Annotated[int, Field(ge=2)] = 10
    """Neighbours in the graph of UMAP."""
    search: bool = True
    """Choose the number of clusters by silhouettes, from 2 to the share of the coarse class; else it is the share."""
    overcluster: Count = 5
    """Parts into which each cluster is divided, of which those that stand apart become clusters; 1 divides none."""
    min_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.005
    """A part becomes a cluster with this share of the coarse class's samples or more."""
    min_samples: Count = 25
    """The same as a number of samples."""
    restarts: Count = 3
    """Restarts of each mixture; the most likely one counts."""
    max_samples: _MaxSamples = 5000
    """Samples clustered per coarse class, or in all with ``scope: global``, drawn by seed; others join the nearest."""


class ScanClusteringConfig(Config):
    """One SCAN model a coarse class: a network of the trial's kind for each, trained on its samples alone.

    Where fine classes are clusters, a held-out sample belongs to the most probable class of the model of each coarse
    class times the probability of that coarse class, which a coarse head of the objective gives.
    """

    scope: ClassVar[Literal["coarse", "global"]] = "coarse"
    pca: ClassVar[None] = None

    kind: Literal["scan"] = "scan"
    sizes: Literal["balanced", "variance"] = "balanced"
    """Fine classes per coarse class: the same number, or more where one more lowers the sum of squares of k-means on
    the inputs most."""
    lambda_reg: Weight = 5.0
    """Weight of each model's uniformity term beside the neighbour term, whose weight is 1 (SCAN: 5)."""


PointClusteringConfig = (
    KMeansClusteringConfig
    | GmmClusteringConfig
    | SpectralClusteringConfig
    | AgglomerativeClusteringConfig
    | GeorgeClusteringConfig
)
"""Kinds that divide points, whatever these are."""
ClusteringConfig = Annotated[PointClusteringConfig | ScanClusteringConfig, Field(discriminator="kind")]


def with_kind(data: Any) -> Any:
    """A clustering section as given, of the kind k-means where it names none."""
    return {"kind": "kmeans", **data} if isinstance(data, dict) else data
