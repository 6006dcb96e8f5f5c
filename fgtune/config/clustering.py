"""Fine classes by k-means, for objectives without a fine head."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fgtune.config.base import Config


class ClusteringConfig(Config):
    """Where no term of the objective needs a fine head, fine classes are k-means clusters of the learned features."""

    scope: Literal["coarse", "global"] = "coarse"
    """Cluster within each coarse class (GEORGE-like), or all samples together."""
    sizes: Literal["balanced", "variance"] = "balanced"
    """Clusters a coarse class: equal, or grown where one more lowers the sum of squares most."""
    restarts: Annotated[int, Field(ge=1)] = 10
    """Restarts of k-means, the best of which counts."""
