"""Sentences about what the parameters of a space explain: they name what stands out from chance, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from fgtune.analysis.formatting import percent
from fgtune.analysis.search.importances import Importances
from fgtune.text import count, listed


def importance_sentence(found: Importances, names: Mapping[str, str]) -> str:
    """What stands out, how well it predicts, and what the rest would have to reach.

    Args:
        found: The decomposition of a metric.
        names: Names of the parameters for readers.
    """
    if not found.items:
        return f"Nothing can be said: {found.doubts[0]}."
    text = _standing(found, names) if found.anything else _nothing(found)
    return text if found.reliable else f"{text} Not reliable: {'; '.join(found.doubts)}."


def share_text(share: float) -> str:
    """A share in whole percent: ``43 %``; a dash for nan."""
    return percent(share if math.isnan(share) else round(share, 2))


def _standing(found: Importances, names: Mapping[str, str]) -> str:
    parts = [
        f"{names[item.parameter]} explains {share_text(item.main)} alone ({_ends(item.low, item.high)})"
        for item in found.ranked
        if item.stands_out and item.parameter in names
    ]
    parts += [
        f"{names[one]} and {names[two]} explain {share_text(pair.share)} together beyond what each does alone "
        f"({_ends(pair.low, pair.high)})"
        for pair in found.interactions
        for one, two in [pair.parameters]
    ]
    others = sum(not item.above_chance for item in found.items if item.parameter in names)
    rest = f" The other {others} parameters stay within chance." if others > 1 else ""
    rest = " The other parameter stays within chance." if others == 1 else rest
    return (
        f"Above chance: {listed(parts)}. That predicts {share_text(found.explained)} of the variation between points "
        f"that are left out of the fit (n = {found.n}).{rest}"
    )


def _nothing(found: Importances) -> str:
    alone = _largest(item.chance for item in found.items)
    together = _largest(item.joint_chance for item in found.items)
    pair = "" if math.isnan(together) else f", or two more than {share_text(together)} together,"
    return (
        f"Nothing stands out from chance. With {count(found.n, 'finished point')} a parameter would have to explain "
        f"more than {share_text(alone)} of the variation alone{pair} to be told from one without effect. This does not "
        "say that there is no effect."
    )


def _largest(chances: Iterable[float]) -> float:
    """The largest, nan if there is none; a parameter that does not vary has no chance of its own."""
    return max((chance for chance in chances if not math.isnan(chance)), default=math.nan)


def _ends(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * high:.0f} %"
