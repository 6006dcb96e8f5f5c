"""``--only KEY=PATTERN``: the part of a study's cells that a call is to run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.errors import ConfigError

OPTION = "--only"


def selected_cells(plan: Plan, conditions: Sequence[str]) -> tuple[Cell, ...]:
    """The cells that meet all conditions; every cell where there is none.

    Args:
        plan: Of an enumerated study.
        conditions: ``arm=falcon*``, ``seed=3``, or a factor and its level, ``classes.num_fine_ratio=1.2``. Patterns
            match whole values; of several conditions on one key, one has to hold.

    Raises:
        ConfigError: A condition has no ``=``, names an unknown key, or no cell meets them; or the study searches.
    """
    if not conditions:
        return plan.cells
    if plan.search is not None:
        fix = "leave --only out, or narrow the space"
        raise ConfigError("needs cells that are planned beforehand, a search has none", where=OPTION, fix=fix)
    if plan.unchosen:
        rule = f"needs planned cells, and the search inside {plan.unchosen[0].search.arm} has chosen none yet"
        raise ConfigError(rule, where=OPTION, fix="run the study without --only first")
    wanted: dict[str, list[str]] = {}
    for condition in conditions:
        key, equals, pattern = (part.strip() for part in condition.partition("="))
        keys = ["arm", "seed", *plan.factors]
        if not equals or key not in keys:
            fix = f"KEY is one of {', '.join(keys)}"
            raise ConfigError("must be KEY=PATTERN", where=OPTION, value=condition, fix=fix)
        wanted.setdefault(key, []).append(pattern)
    cells = tuple(cell for cell in plan.cells if all(_matches(cell, key, wanted[key]) for key in wanted))
    if not cells:
        fix = f"arms are {', '.join(arm.name for arm in plan.arms[:20])}"
        raise ConfigError("selects no cell of the study", where=OPTION, value=list(conditions), fix=fix)
    return cells


def _matches(cell: Cell, key: str, patterns: Sequence[str]) -> bool:
    value: Any = {"arm": cell.arm, "seed": cell.seed}.get(key, cell.levels.get(key))
    text = value if isinstance(value, str) else json.dumps(value)
    return any(fnmatchcase(text, pattern) for pattern in patterns)
