"""How the relations between fine and coarse classes come about, and by which solver."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fgtune.config.schema.base import Config
from fgtune.config.schema.data import PositiveFloat, Weight
from fgtune.config.schema.plugin import BY_KIND, OWN, SHIPPED, PluginConfig


class FlowSolverConfig(Config):
    """Exact successive shortest paths in NumPy."""

    kind: Literal["flow"] = "flow"


class ScipSolverConfig(Config):
    """The binary quadratic programme as it is, by SCIP's branch and bound."""

    kind: Literal["scip"] = "scip"
    time_limit_s: PositiveFloat = 30.0


class CvxpySolverConfig(Config):
    """The programme linearised by slots; its LP relaxation, which is integral, by CVXPY with HiGHS."""

    kind: Literal["cvxpy"] = "cvxpy"
    time_limit_s: PositiveFloat = 30.0


_ShippedSolverConfig = Annotated[FlowSolverConfig | ScipSolverConfig | CvxpySolverConfig, Field(discriminator="kind")]

SolverConfig = Annotated[Annotated[_ShippedSolverConfig, SHIPPED] | Annotated[PluginConfig, OWN], BY_KIND]


class RelationsConfig(Config):
    """How the relations M between fine and coarse classes come about."""

    mode: Literal["learned", "oracle", "random_balanced"] = "learned"
    """``oracle`` reads fine labels to know the true M; ``random_balanced`` fixes a random M with equal column sizes."""
    solver: SolverConfig = FlowSolverConfig()
    balance: Weight = 1.0
    """b = beta / beta*, with beta* = K_C / (2 K_F): at 1, balance becomes nearly a hard constraint."""
    balance_after_soft: bool = False
    """Keep the balance term after the soft phase; the reference drops it there."""
    every_steps: Annotated[int, Field(ge=1)] = 20
    """Solve again every so many optimiser steps, counted over the whole training."""
