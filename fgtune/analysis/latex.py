"""A study as a LaTeX table: arms by metrics, each a mean with half its interval; needs only the package booktabs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fgtune.analysis.formatting import MetricInfo, percent
from fgtune.analysis.records import ArmSummary
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.analysis.verdicts.statistics import Estimate
from fgtune.text import count

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "±": r"$\pm$", "×": r"$\times$", "→": r"$\rightarrow$", "≥": r"$\geq$",
    "≤": r"$\leq$", "∞": r"$\infty$", "−": "$-$", "–": "--", "\u202f": r"\,", "\u00a0": "~",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "ε": r"$\epsilon$", "η": r"$\eta$",
    "θ": r"$\theta$", "κ": r"$\kappa$", "λ": r"$\lambda$", "μ": r"$\mu$", "ρ": r"$\rho$", "σ": r"$\sigma$",
    "τ": r"$\tau$", "φ": r"$\phi$", "ω": r"$\omega$", "Δ": r"$\Delta$",
}  # fmt: skip

_MARKS = {
    Verdict.HELPS: "^{+}",
    Verdict.HURTS: "^{-}",
    Verdict.EQUIVALENT: "^{=}",
    Verdict.UNDECIDED: "^{?}",
}
_UNEVEN = 0.01
"""Share of an interval's width by which its two sides differ where it ends at the end of the metric's range."""
_ARROWS = {"maximize": r" $\uparrow$", "minimize": r" $\downarrow$", "none": ""}


def escape(text: str) -> str:
    """Text escaped for LaTeX: special characters, Greek letters and a few signs; all others are kept."""
    return "".join(_ESCAPES.get(character, character) for character in " ".join(text.split()))


def latex_table(summary: StudySummary) -> str:
    """The arms of a study by its shown metrics, as a ``table`` environment with caption and label."""
    columns = len(summary.metrics)
    head = [escape(info.title) + _ARROWS[info.direction] for info in summary.metrics]
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{_caption(summary)}}}",
        f"  \\label{{tab:{summary.study}}}",
        f"  \\begin{{tabular}}{{l{'r' * columns}r}}",
        r"    \toprule",
        f"    {' & '.join(['arm', *head, '$n$'])} \\\\",
        r"    \midrule",
        *(f"    {_row(summary, arm)} \\\\" for arm in summary.arms),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(summary: StudySummary, arm: ArmSummary) -> str:
    name = escape(arm.label) + (" (baseline)" if arm.is_baseline and arm.label != "baseline" else "")
    n = arm.estimates[summary.primary].n
    cells = [_cell(summary, arm, info, n) for info in summary.metrics]
    return " & ".join([name, *cells, str(n)])


def _cell(summary: StudySummary, arm: ArmSummary, info: MetricInfo, n: int) -> str:
    """Mean and half interval, the verdict's mark on the primary metric, and n if it differs from the row's."""
    estimate = arm.estimates[info.name]
    contrast = summary.contrast_of(arm.arm) if info.name == summary.primary else None
    mark = ""
    if contrast is not None and contrast.judgement is not None and contrast.contrast.n > 0:
        mark = _MARKS[contrast.judgement.verdict]
    text = value_text(estimate, mark)
    return text if estimate.n in (n, 0) else f"{text} ($n = {estimate.n}$)"


def value_text(estimate: Estimate, mark: str = "") -> str:
    """Mean, half the interval and a mark, in math mode; without an interval the mean only, without values a dash.

    An interval that ends where the metric's range does is not the same to both sides, and stands as it is.
    """
    if estimate.n == 0:
        return "--"
    half = (estimate.high - estimate.low) / 2
    sizes = [abs(estimate.mean)] + [half] * math.isfinite(half)
    decimals = _decimals(max(sizes))
    mean = _number(estimate.mean, decimals)
    if _is_cut(estimate):
        text = f"{mean}\\,[{_number(estimate.low, decimals)}, {_number(estimate.high, decimals)}]"
    else:
        text = f"{mean} \\pm {_number(half, decimals)}" if math.isfinite(half) else mean
    return f"${text}\\,{mark}$" if mark else f"${text}$"


def _is_cut(estimate: Estimate) -> bool:
    """Whether the interval reaches farther to one side of the mean than to the other."""
    above, below = estimate.high - estimate.mean, estimate.mean - estimate.low
    return abs(above - below) > _UNEVEN * (above + below)


def _decimals(size: float) -> int | None:
    """Digits after the point; None for sizes that are better written with a power of ten."""
    if 0 < size < 0.0005 or size >= 1e6:
        return None
    return 3 if size < 1 else 2 if size < 100 else 1 if size < 1000 else 0


def _number(value: float, decimals: int | None) -> str:
    if decimals is None:
        digits, _, exponent = f"{value:.2e}".partition("e")
        return f"{digits} \\cdot 10^{{{int(exponent)}}}"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _lost_cells(summary: StudySummary) -> Iterator[tuple[str, str]]:
    """The arms of contrasts that lost cells of the primary metric, with what happened on which seeds."""
    judged = [(item.label, item.judgement) for item in summary.contrasts if item.judgement is not None]
    for lost in dict.fromkeys(judgement.baseline_lost for _, judgement in judged if len(judgement.baseline_lost)):
        yield "The baseline", lost.words()
    for label, judgement in judged:
        if len(judgement.lost):
            yield label, judgement.lost.words()


def _caption(summary: StudySummary) -> str:
    """What the numbers mean, and how many cells are left out."""
    counts = summary.counts
    seeds = ", ".join(map(str, summary.seeds))
    level = percent(summary.level).replace(" %", "\\,\\%")
    parts = [
        f"Study {escape(summary.study)}: mean $\\pm$ half the width of its {level} interval, "
        f"over the seeds {seeds} ($n$ completed cells per arm)."
    ]
    if any(_is_cut(arm.estimates[info.name]) for arm in summary.arms for info in summary.metrics):
        parts.append("An interval that ends where the metric's range does is given whole.")
    judged = [contrast for contrast in summary.contrasts if contrast.judgement is not None and contrast.contrast.n]
    if judged:
        primary = escape(summary.metrics[0].title)
        marks = ", ".join(f"${mark}$ {verdict.value}" for verdict, mark in _MARKS.items())
        by = "" if summary.judged_by == "mean" else f", by the {summary.judged_by.replace('_', ' ')} of the differences"
        parts.append(f"Against the baseline on {primary}{by}: {marks} (Holm-corrected, $\\alpha = {summary.alpha:g}$).")
    parts += [f"{escape(name)} {escape(words)}." for name, words in _lost_cells(summary)]
    lost = [f"{count(counts.failed, 'cell')} failed"] * (counts.failed > 0)
    lost += [f"{count(counts.pruned, 'cell')} stopped early"] * (counts.pruned > 0)
    lost += [f"{count(counts.missing, 'cell')} not run yet"] * (counts.missing > 0)
    if lost:
        parts.append(f"Left out: {', '.join(lost)}.")
    return " ".join(parts)
