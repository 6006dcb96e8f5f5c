"""The LaTeX table: its numbers against the summary's, and that nothing in it can break a document."""

from __future__ import annotations

import math
import re

import pytest

from fgtune.analysis.latex import escape, latex_table, value_text
from fgtune.analysis.summary import summarise
from fgtune.analysis.verdicts.statistics import Estimate, mean_interval

KNOWN = {
    "begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "uparrow", "downarrow", "pm",
    "alpha", "usepackage",
}  # fmt: skip


@pytest.fixture
def summary(synthetic, tmp_path, kf_accuracy):
    faults = synthetic.Faults(failed={("num_fine_ratio=1.5", 2): "killed"})
    return summarise(synthetic.SyntheticStudy(accuracy=kf_accuracy, faults=faults).write(tmp_path))


def rows(text: str) -> list[list[str]]:
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix("\\\\"))] for line in body.split("\n")[:-1]
    ]


def test_every_arm_has_a_row_with_its_means_half_intervals_and_n(summary):
    table = [row for row in rows(latex_table(summary)) if len(row) > 1]
    assert len(table) == len(summary.arms)
    for row, arm in zip(table, summary.arms, strict=True):
        assert len(row) == 2 + len(summary.metrics)
        assert row[-1] == str(arm.estimates[summary.primary].n)
        for cell, info in zip(row[1:-1], summary.metrics, strict=True):
            estimate = arm.estimates[info.name]
            mean, half, low, high = re.match(
                r"\$(-?[\d.]+)(?: \\pm ([\d.]+)|\\,\[(-?[\d.]+), (-?[\d.]+)\])", cell
            ).groups()
            assert float(mean) == pytest.approx(estimate.mean, abs=0.006)
            if half is None:  # the interval ends where the range does
                assert [float(low), float(high)] == pytest.approx([estimate.low, estimate.high], abs=0.006)
                assert estimate.low == info.low or estimate.high == info.high
            else:
                assert float(half) == pytest.approx((estimate.high - estimate.low) / 2, abs=0.006)


def test_verdicts_are_marked_and_the_baseline_is_named(summary):
    table = {row[0]: row[1] for row in rows(latex_table(summary)) if len(row) > 1}
    marks = {"helps": "{+}", "hurts": "{-}", "equivalent": "{=}", "undecided": "{?}"}
    for contrast in summary.contrasts:
        expected = marks[contrast.judgement.verdict.value]
        assert table[escape(contrast.label)].endswith(f"^{expected}$")
    assert "^" not in table["K\\_F/K\\_F* 1.0 (baseline)"]


def test_the_caption_tells_study_level_seeds_and_what_is_left_out(summary):
    caption = re.search(r"\\caption\{(.*)\}\n", latex_table(summary)).group(1)
    assert caption.startswith("Study kf\\_demo: mean $\\pm$ half the width of its 95\\,\\% interval")
    assert "over the seeds 0, 1, 2, 3, 4" in caption
    assert "Left out: 1 cell failed." in caption


def test_the_table_uses_nothing_beyond_booktabs_and_is_balanced(summary):
    text = latex_table(summary)
    assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= KNOWN
    assert text.count("{") == text.count("}")
    assert text.count("$") % 2 == 0
    assert "_" not in re.sub(r"\\_|\\label\{.*\}", "", text)
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text).group(1)
    assert all(len(row) == len(columns) for row in rows(text) if len(row) > 1)


def test_special_characters_stand_as_themselves():
    assert escape("50 % of {a_b} & $x^2$ #1 ~ \\") == (
        r"50 \% of \{a\_b\} \& \$x\textasciicircum{}2\$ \#1 \textasciitilde{} \textbackslash{}"
    )
    assert escape("λ ≥ 0.5 → ±1") == r"$\lambda$ $\geq$ 0.5 $\rightarrow$ $\pm$1"
    assert escape("two\nlines") == "two lines"


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(5, 0.93412, 0.01, 0.92212, 0.94612), "$0.934 \\pm 0.012$"),
        (Estimate(5, 12.345, 1.0, 11.345, 13.345), "$12.35 \\pm 1.00$"),
        (Estimate(5, 0.2, 9.0, -1.3, 1.7), "$0.20 \\pm 1.50$"),
        (Estimate(5, -0.0001, 0.1, -0.1001, 0.0999), "$0.000 \\pm 0.100$"),
        (Estimate(2, 3e-5, 1e-5, 2e-5, 4e-5), "$3.00 \\cdot 10^{-5} \\pm 1.00 \\cdot 10^{-5}$"),
        (Estimate(2, 2e6, 1e5, 1.9e6, 2.1e6), "$2.00 \\cdot 10^{6} \\pm 1.00 \\cdot 10^{5}$"),
        (Estimate(2, 0.9, 0.05, 0.45, 1.0), "$0.900\\,[0.450, 1.000]$"),
        (mean_interval([0.5]), "$0.500$"),
        (mean_interval([]), "--"),
    ],
)
def test_mean_and_half_interval_have_the_same_digits(estimate, text):
    assert value_text(estimate) == text


def test_the_caption_tells_of_intervals_that_end_where_the_range_does(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace("seeds: 5", "seeds: 2")
    summary = summarise(synthetic.SyntheticStudy(text=text, accuracy={"baseline": 0.99}).write(tmp_path))
    written = latex_table(summary)
    assert "\\,[0." in written
    assert "An interval that ends where the metric's range does is given whole." in written


def test_a_mark_follows_the_number():
    assert value_text(Estimate(1, 0.5, math.nan, math.nan, math.nan), "^{?}") == "$0.500\\,^{?}$"


def test_a_metric_with_fewer_values_tells_its_own_n(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace(
        "primary: test/clustering_accuracy, also: [test/ari", "primary: test/ari, also: [test/silhouette"
    )
    folder = synthetic.SyntheticStudy(text=text).write(tmp_path)
    lines = folder.ledger_file.read_text().splitlines()
    cut = re.sub(r'"test/silhouette": [-\d.e]+, ', "", lines[0])
    assert cut != lines[0]
    folder.ledger_file.write_text("\n".join([cut.replace('"test/silhouette": ', '"test/other": '), *lines[1:]]) + "\n")
    table = latex_table(summarise(folder))
    assert "($n = 4$)" in table.split("(baseline)")[1].split("\\\\")[0]
