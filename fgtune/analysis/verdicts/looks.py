"""Looking at a study more than once: how much of alpha each look may spend, and p-values that pay for all looks so far.

Seeds that are added after a look give the null hypothesis another chance to be rejected. Group-sequential tests with
a spending function (Lan and DeMets 1983) pay for it: up to look k, a test at level gamma may reject with probability
gamma times a share that grows from look to look. What a look may use then follows from the joint distribution of a sum
of independent normal differences at its sizes, by recursive numerical integration (Armitage, McPherson and Rowe 1969;
Jennison and Turnbull 2000, chapter 19). It is expressed as a nominal two-sided level and compared with the p-value of a
paired t-test: the significance-level approach (Jennison and Turnbull 2000, section 3.3).

The sequential p-value is the smallest gamma at which a contrast would have been significant by now. It is valid however
the looks ended, so that Holm's correction applies to it as to any p-value (Maurer and Bretz 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import special
from scipy.interpolate import CubicSpline

from fgtune.arrays import FloatArray

_LARGEST_Z = 8.0  # two-sided 1.2e-15; below it a bound takes the place of the interpolation
_GRID = 64  # levels at which boundaries are computed for the interpolation
_NODES_PER_SD = 3.0  # Gauss-Legendre nodes per standard deviation of what a look adds
_FEWEST_NODES = 24
_STEPS = 50  # Newton's method needs about 6
_T_LOSS = 6.0  # see ``t_information``


def kept_shares(looks: int, kept: float) -> tuple[float, ...]:
    """Share of alpha spent up to each look where no one knows how many follow: a part of the rest is always kept.

    Args:
        looks: Number of looks so far, >= 1.
        kept: Share of what is left that a look leaves to later ones, in [0, 1).

    Returns:
        ``1 - kept ** k`` for looks k = 1 .. ``looks``.

    Examples:
        >>> [round(share, 3) for share in kept_shares(3, 0.2)]
        [0.8, 0.96, 0.992]
    """
    return tuple(1.0 - kept**look for look in range(1, looks + 1))


def planned_shares(sizes: Sequence[int], most: int) -> tuple[float, ...]:
    """Share of alpha spent up to each look where the largest size is fixed: Lan and DeMets' function of Pocock's type.

    Args:
        sizes: Number of seeds at each look, at most ``most``.
        most: Number of seeds at the last possible look.

    Returns:
        ``ln(1 + (e - 1) t)`` for t = size / most; 1 at the last possible look.

    Examples:
        >>> [round(share, 3) for share in planned_shares([5, 10, 20], 20)]
        [0.357, 0.62, 1.0]
    """
    return tuple(math.log1p((math.e - 1.0) * size / most) for size in sizes)


def t_information(pairs: int) -> float:
    """The information at which a paired t-test behaves like a test with a known standard deviation, for its looks.

    The p-values of t-tests of growing samples agree less with each other than those of normal tests, as the estimated
    standard deviation changes too: with the number of pairs as information, looks at 5, 10, 15 and 20 pairs reject in
    5.4 % instead of 5 % of null studies, looks after every seed from 3 to 20 in 5.9 %. Less information in small
    samples makes up for it. The constant was chosen by simulation and checked on others (``docs/statistics.md``).

    Args:
        pairs: Number of pairs, >= 1.

    Returns:
        ``pairs * exp(-6 / pairs)``, which increases and approaches ``pairs`` - 6.
    """
    return pairs * math.exp(-_T_LOSS / pairs)


def nominal_levels(information: Sequence[float], shares: Sequence[float], level: float) -> tuple[float, ...]:
    """The two-sided level of the test at each look, if all looks together may reject with probability ``level``.

    Args:
        information: Of each look, increasing, > 0, in any unit; of t-tests, ``t_information`` of their pairs.
        shares: Share of ``level`` spent up to each look, not decreasing, in [0, 1].
        level: Probability of a wrong rejection at any look, in (0, 1).

    Returns:
        A level for each look; 0 where a look has nothing to spend.

    Raises:
        ValueError: Information or shares are out of order or range.

    Examples:
        Two looks at equal steps with the same level at both (Pocock 1977, boundary 2.178):

        >>> [round(each, 4) for each in nominal_levels([1, 2], [0.587977, 1.0], 0.05)]
        [0.0294, 0.0294]
    """
    _check(information, shares)
    spends = [later > share for share, later in zip((0.0, *shares), shares, strict=False)]
    spending = [pair for pair, each in zip(zip(information, shares, strict=True), spends, strict=True) if each]
    boundaries = iter(_boundaries([each for each, _ in spending], [share for _, share in spending], np.array([level])))
    return tuple(2.0 * float(special.ndtr(-next(boundaries)[0])) if each else 0.0 for each in spends)


def sequential_p(p_values: Sequence[float], pairs: Sequence[int], shares: Sequence[float]) -> float:
    """The smallest overall level at which a contrast would have been significant at one of the looks so far.

    With a one-sided p-value (equivalence), the result is slightly too large, since the boundaries are two-sided ones.

    Args:
        p_values: The p-value at each look, from all pairs that it had; nan where nothing could be tested.
        pairs: Number of pairs at each look. A look without new pairs is none.
        shares: Share of the level spent up to each look, not decreasing, in [0, 1].

    Returns:
        The sequential p-value, at most 1; nan if no look has a p-value.

    Raises:
        ValueError: Shares are out of order or range, or the sequences differ in length.

    Examples:
        One look with a fifth of alpha kept for later, and a second one after it:

        >>> round(sequential_p([0.04], [5], kept_shares(1, 0.2)), 4)
        0.05
        >>> round(sequential_p([0.04, 0.01], [5, 10], kept_shares(2, 0.2)), 4)
        0.0465
    """
    found = _by_look(p_values, pairs, shares)
    known = any(n > 0 and not math.isnan(p_value) for p_value, n in zip(p_values, pairs, strict=True))
    return min(found.values(), default=1.0) if known else math.nan


def deciding_look(p_values: Sequence[float], pairs: Sequence[int], shares: Sequence[float]) -> int:
    """The place of the look that ``sequential_p`` takes its value from; of equals, and without any, the last.

    Arguments as there.
    """
    found = _by_look(p_values, pairs, shares)
    return min(found, key=lambda look: (found[look], -look), default=len(p_values) - 1)


def _by_look(p_values: Sequence[float], pairs: Sequence[int], shares: Sequence[float]) -> dict[int, float]:
    """The overall level at which each look that has something to spend would have been significant, by its place."""
    if not len(p_values) == len(pairs) == len(shares):
        raise ValueError(f"{len(p_values)} p-values, {len(pairs)} sizes and {len(shares)} shares must be equally many")
    tested: list[tuple[int, float, int, float]] = []
    for look, (p_value, n, share) in enumerate(zip(p_values, pairs, shares, strict=True)):
        if not math.isnan(p_value) and n > (tested[-1][2] if tested else 0):
            tested.append((look, p_value, n, share))
    if tested:
        _check([n for *_, n, _ in tested], [share for *_, share in tested])
    before, able = 0.0, []  # looks that have something to spend
    for look, p_value, n, share in tested:
        if share > before:
            able.append((look, p_value, t_information(n), share))
        before = share
    information, spent = tuple(each for *_, each, _ in able), tuple(share for *_, share in able)
    return {look: _overall(p_value, rank, information, spent) for rank, (look, p_value, *_) in enumerate(able)}


def _check(information: Sequence[float], shares: Sequence[float]) -> None:
    grow = all(later > each for each, later in zip((0.0, *information), information, strict=False))
    spend = all(later >= share for share, later in zip((0.0, *shares), (*shares, 1.0), strict=True))
    if not (grow and spend and len(information) == len(shares)):
        raise ValueError(f"looks must grow, and shares must not decrease, up to 1; got {information} and {shares}")


def _overall(p_value: float, look: int, information: tuple[float, ...], shares: tuple[float, ...]) -> float:
    """The smallest overall level at which ``p_value`` is significant at a look, counted from 0."""
    increment = shares[look] - (shares[look - 1] if look else 0.0)
    bound = min(1.0, p_value / increment)  # a look may use at least what it spends, so this is never too small
    if look == 0 or p_value <= 0.0:
        return bound
    spline, smallest, largest = _inverses(information, shares)[look]
    z = -float(special.ndtri(p_value / 2.0))
    if z >= largest:
        return bound
    return min(bound, 2.0 * float(special.ndtr(-spline(z)))) if z > smallest else 1.0


@lru_cache(maxsize=512)
def _inverses(
    information: tuple[float, ...], shares: tuple[float, ...]
) -> tuple[tuple[CubicSpline, float, float], ...]:
    """For each look, the z of the overall level as a function of the boundary, and the range of the boundary."""
    z = _LARGEST_Z * (1.0 - np.cos(np.pi * (np.arange(_GRID) + 0.5) / _GRID)) / 2.0
    found = _boundaries(information, shares, 2.0 * special.ndtr(-z))
    return tuple((CubicSpline(boundary, z), float(boundary[0]), float(boundary[-1])) for boundary in found)


def _boundaries(information: Sequence[float], shares: Sequence[float], levels: FloatArray) -> list[FloatArray]:
    """The boundary |z| of each look, by level.

    The density of the score (a sum that starts at 0 and whose variance is the information) over paths that crossed no
    boundary is known at Gauss-Legendre nodes. It is symmetric about 0, so nodes between 0 and the boundary suffice.

    Args:
        information: Of each look, (K,) and increasing.
        shares: Share of the level spent up to each look, (K,) and increasing.
        levels: (G,) overall levels.

    Returns:
        K arrays of shape (G,).
    """
    found: list[FloatArray] = []
    nodes = density = np.empty(0)
    for look, known in enumerate(information):
        increment = levels * (shares[look] - (shares[look - 1] if look else 0.0))
        edge = -special.ndtri(increment / 2.0) * math.sqrt(known)  # (G,); of a look that is the only one
        scale = math.sqrt(known - information[look - 1]) if look else math.nan
        if look:
            edge = _boundary(nodes, density, edge, scale, increment)
        found.append(edge / math.sqrt(known))
        if look + 1 < len(information):
            narrow = math.sqrt(min(information[look + 1] - known, known))
            count = max(_FEWEST_NODES, math.ceil(_NODES_PER_SD * float(edge.max()) / narrow))
            roots, weights = np.polynomial.legendre.leggauss(count)
            later = edge[:, None] * (roots + 1.0) / 2.0  # (G, count), in (0, edge)
            first = np.exp(-(later**2) / (2.0 * known)) / math.sqrt(2.0 * math.pi * known)
            values = _mixed(nodes, density, later, scale) if look else first
            nodes, density = later, values * weights * edge[:, None] / 2.0  # weights included
    return found


def _mixed(nodes: FloatArray, density: FloatArray, later: FloatArray, scale: float) -> FloatArray:
    """The density at ``later`` (G, M) after an independent normal step, from weighted values at ``nodes`` (G, N)."""
    ahead = (later[:, :, None] - nodes[:, None, :]) / scale
    behind = (later[:, :, None] + nodes[:, None, :]) / scale
    kernel = np.exp(-(ahead**2) / 2.0) + np.exp(-(behind**2) / 2.0)  # from both halves of the range
    found: FloatArray = np.einsum("gmn,gn->gm", kernel, density) / (scale * math.sqrt(2.0 * math.pi))
    return found


def _boundary(
    nodes: FloatArray, density: FloatArray, start: FloatArray, scale: float, increment: FloatArray
) -> FloatArray:
    """The sum beyond which the next look has probability ``increment`` (G,), both sides together.

    Newton's method on the logarithm of this probability, which is concave: from ``start``, which spends too little, no
    step goes too far.
    """
    edge = start.copy()
    for _ in range(_STEPS):
        ahead, behind = (edge[:, None] - nodes) / scale, (edge[:, None] + nodes) / scale
        beyond = 2.0 * np.sum(density * (special.ndtr(-ahead) + special.ndtr(-behind)), axis=1)
        slope = np.sum(density * (np.exp(-(ahead**2) / 2.0) + np.exp(-(behind**2) / 2.0)), axis=1)
        slope *= 2.0 / (scale * math.sqrt(2.0 * math.pi))
        step = np.log(beyond / increment) * beyond / slope
        edge = edge + step
        if float(np.abs(step).max()) < 1e-12 * float(np.abs(edge).max()):
            break
    return edge
