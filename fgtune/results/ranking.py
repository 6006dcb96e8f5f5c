"""Which arm is best: one rule, wherever it is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal


def best_by_mean(scores: Mapping[str, tuple[float, int]], mode: Literal["maximize", "minimize"]) -> str | None:
    """The arm with the best mean among those with the most values, the first of equal ones; None where none has any.

    An arm with fewer values has lost some cells, often its bad ones: its mean is none that others can be held against.

    Args:
        scores: Mean of each arm, and over how many values; an arm whose mean is not finite has none.
        mode: Which way is better.
    """
    finite = {arm: (mean, n) for arm, (mean, n) in scores.items() if n and math.isfinite(mean)}
    most = max((n for _, n in finite.values()), default=0)
    sign = -1.0 if mode == "minimize" else 1.0
    return max(
        (arm for arm, (_, n) in finite.items() if n == most), key=lambda arm: sign * finite[arm][0], default=None
    )
