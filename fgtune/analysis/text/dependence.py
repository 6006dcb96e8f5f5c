"""What leads from the baseline to the best point, in words."""

from __future__ import annotations

from fgtune.analysis.formatting import capital, interval, number
from fgtune.analysis.search.dependence import AblationPath, Dependence
from fgtune.analysis.search.surrogate import Effect
from fgtune.text import count


def effect_text(effect: Effect) -> str:
    """A signed number with its interval."""
    return f"{number(effect.value, sign=True)} ({interval(effect.low, effect.high, sign=True)})"


def path_sentence(found: Dependence) -> str:
    """The path in a sentence or two; empty where there is none."""
    path = found.path
    if path is None:
        return ""
    what = f"logarithm of {found.metric.title}" if found.logged else found.metric.title
    clear = [change for change in path.changes if change.share.clear]
    text = (
        f"From the baseline to {path.arm}, the best point by {path.criterion.title}, the fit has a change of "
        f"{effect_text(path.total)} in {what}"
    )
    if path.measured == path.measured:
        text += f", {number(path.measured, sign=True)} was measured"
    if clear:
        largest = max(clear, key=lambda change: abs(change.share.value))
        text += f". The largest part is {largest.title}: {effect_text(largest.share)}"
    else:
        text += f". None of {count(len(path.changes), 'change')} is told apart from none"
    return f"{text}.{_rest(path)}"


def _rest(path: AblationPath) -> str:
    """Which further differences are within chance."""
    if not path.unchanged:
        return ""
    verb = "is" if len(path.unchanged) == 1 else "are"
    return f" {capital(', '.join(path.unchanged))} {verb} within chance and not in it."
