"""What ``fgtune power`` tells is what further seeds find: by statsmodels, by simulation, at what looks leave."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from statsmodels.stats.power import TTestPower

from fgtune.analysis.inputs import read_study
from fgtune.analysis.verdicts.looks import kept_shares, sequential_p
from fgtune.analysis.verdicts.power import sd_limit
from fgtune.analysis.verdicts.power_table import POOLED, SIZES, level_at, power_table
from fgtune.app.cli import main
from fgtune.app.power import print_power, read_power
from fgtune.errors import ConfigError


@pytest.fixture
def write(synthetic, tmp_path, ledger_alone):
    """Writes a study of K_F with some seeds and settings of its metrics; without curves, which nothing here reads."""

    def made(seeds="5", metrics="", ratios="[0.8, 1.0, 1.2, 1.5]", **study):
        text = synthetic.KF_STUDY.replace("seeds: 5", f"seeds: {seeds}").replace("primary:", f"{metrics}primary:")
        return synthetic.SyntheticStudy(text=text.replace("[0.8, 1.0, 1.2, 1.5]", ratios), **study).write(tmp_path)

    return made


def told(folder) -> str:
    out = io.StringIO()
    print_power(read_power(folder.root), Console(file=out, width=200))
    return out.getvalue()


def test_smallest_differences_are_those_of_statsmodels(write):
    table = power_table(read_study(write()))
    assert [reach.pairs for reach in table.rows[0].reach] == list(SIZES)
    for row in table.rows:
        few, *others = row.reach  # statsmodels gives nan for effects as large as those that three pairs find
        critical = stats.t.ppf(1 - few.level / 2, 2)
        assert stats.nct.sf(critical, 2, few.difference / row.sd * math.sqrt(3)) == pytest.approx(0.8, abs=1e-6)
        for reach in others:
            expected = TTestPower().solve_power(effect_size=None, nobs=reach.pairs, alpha=reach.level, power=0.8)
            assert reach.difference == pytest.approx(expected * row.sd, rel=1e-4)
            assert reach.difference_limit == pytest.approx(expected * sd_limit(row.sd, 5), rel=1e-4)


def test_smallest_margins_are_shown_equivalent_in_80_of_100_studies(write):
    row = power_table(read_study(write())).rows[0]
    rng = np.random.default_rng(11)
    for reach in row.reach[1:6:2]:
        drawn = rng.normal(0, row.sd, (20_000, reach.pairs))
        error = drawn.std(axis=1, ddof=1) / math.sqrt(reach.pairs)
        nearest = (reach.margin - np.abs(drawn.mean(axis=1))) / error
        shown = np.mean(stats.t.sf(nearest, reach.pairs - 1) <= reach.level)
        assert shown == pytest.approx(0.8, abs=0.012)


@pytest.mark.slow
def test_a_difference_is_found_after_an_extension_as_often_as_promised(write):
    """Five seeds, then 20: sequential p-values of both looks in Holm's first step, and a planted difference."""
    row = power_table(read_study(write())).rows[0]
    reach = next(each for each in row.reach if each.pairs == 20)
    rng, shares, found = np.random.default_rng(3), kept_shares(2, 0.2), 0
    for drawn in rng.normal(reach.difference, row.sd, (1500, 20)):
        second = float(stats.ttest_1samp(drawn, 0.0).pvalue)
        found += sequential_p([1.0, second], [5, 20], shares) <= 0.05 / 3
    assert found / 1500 == pytest.approx(0.8, abs=0.045)


def test_the_advice_finds_the_margin_as_often_as_promised(write):
    """Pilots of ten pairs from a known standard deviation: the upper number keeps the 80 %, on average over pilots."""
    from fgtune.analysis.verdicts.power import equivalence_power, seed_advice

    rng, sd, margin, level = np.random.default_rng(4), 1.0, 0.8, 0.01
    kept = []
    for pilot in rng.normal(0, sd, (60, 10)):
        pairs = seed_advice(float(pilot.std(ddof=1)), 10, margin, level, power_of=equivalence_power).high
        kept.append(float(equivalence_power(np.array(margin / sd), pairs, level)))
    assert 0.74 < np.mean(kept) < 0.9


def test_the_level_is_what_looks_have_left(write):
    data = read_study(write())
    assert level_at(data, 5, 3) == pytest.approx(0.05 * 0.8 / 3)  # another study, looked at once
    assert level_at(data, 3, 3) == level_at(data, 5, 3)
    later = level_at(data, 20, 3)
    assert 0.05 * 0.16 / 3 < later < 0.05 * 0.8 / 3  # at least what the second look spends
    assert sequential_p([1.0, later], [5, 20], kept_shares(2, 0.2)) == pytest.approx(0.05 / 3, rel=1e-4)


def test_where_alpha_is_spent_nothing_new_is_found(write):
    folder = write(metrics="alpha_kept: 0.0, ")
    row = power_table(read_study(folder)).rows[0]
    assert [reach.level > 0 for reach in row.reach] == [True, True, *[False] * 6]
    assert math.isnan(row.reach[-1].difference)
    assert row.finds is None
    assert "alpha is spent" in told(folder)


def test_adaptive_seeds_end_at_their_most(write):
    folder = write(seeds="{min: 5, max: 20, until: decided}")
    table = power_table(read_study(folder))
    assert table.most == 20
    assert [reach.level > 0 for reach in table.rows[0].reach] == [*[True] * 6, False, False]
    assert "more than adaptive seeds give" in told(folder)


def test_exact_tests_are_told_apart_by_what_they_can_reach(write):
    reach = power_table(read_study(write(seeds="8"))).rows[0].reach
    assert [(each.pairs, each.exact) for each in reach[:3]] == [(3, False), (5, False), (8, True)]
    assert reach[2].exact_p == 2 / 2**8


def test_few_pairs_and_no_margin_give_no_advice(write):
    few = write(seeds="4")
    assert all(row.finds is None for row in power_table(read_study(few)).rows)
    assert "no advice on pairs: 4 of them show too little" in told(few)


def test_many_contrasts_are_pooled_into_one_table_and_a_line_each(write):
    folder = write(ratios="[0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5]", metrics="summary: trimmed_mean, ")
    table = power_table(read_study(folder))
    assert len(table.rows) == 6
    assert table.pooled.arm == POOLED
    assert table.pooled.sd == pytest.approx(math.sqrt(np.mean([row.sd**2 for row in table.rows])))
    text = told(folder)
    assert text.count("finds a difference of") == 1
    assert text.count("would find a difference of it") == 7
    assert "Verdicts are by the trimmed mean" in text


def test_contrasts_with_margins_of_their_own_have_no_advice_together_but_one_each(write, synthetic):
    faults = synthetic.Faults(failed={("num_fine_ratio=0.8", 2): "out of memory"})  # its baseline has other seeds
    ratios = "[0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5]"
    folder = write(seeds="6", ratios=ratios, metrics="equivalence_margin: {relative: 0.03}, ", faults=faults)
    table = power_table(read_study(folder))
    assert len({row.margin for row in table.rows}) == 2
    assert table.pooled.margin is None
    text = told(folder)
    assert text.count("no advice on pairs for all contrasts together: each has a margin of its own") == 1
    assert "states no margin" not in text
    assert text.count("would find a difference of it") == 6


def test_the_verb_prints_a_table_or_json(write, capsys):
    folder = write()
    assert main(["power", str(folder.root)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("kf_demo: clustering accuracy (test), 3 planned contrasts, alpha 0.05, 1 look so far (n = 5)")
    assert "cannot decide (p >= 0.062)" in out
    assert main(["power", str(folder.root), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert [row["arm"] for row in plain["rows"]] == [f"num_fine_ratio={ratio}" for ratio in (0.8, 1.2, 1.5)]
    assert plain["rows"][0]["reach"][1]["pairs"] == 5


def test_an_arm_that_repeats_the_baseline_in_every_pair_is_left_out(write):
    folder = write()
    lines = folder.ledger.read()
    values = {line.seed: line.metrics for line in lines if line.arm == "baseline"}
    folder.ledger_file.unlink()
    for line in lines:
        plain = line.to_plain()
        if line.arm == "num_fine_ratio=0.8":
            plain["metrics"] = dict(values[line.seed])
        folder.ledger.append(type(line).from_plain(plain))
    assert power_table(read_study(folder)).left_out == ("K_F/K_F* 0.8",)
    assert "Left out, for want of two pairs whose differences vary: K_F/K_F* 0.8." in told(folder)


def test_what_has_no_power_is_refused(write, synthetic_search, tmp_path, capsys):
    folder = write(seeds="1")
    with pytest.raises(ConfigError, match="no arm has two pairs with the baseline yet"):
        read_power(folder.root)
    search = synthetic_search.SyntheticSearch(trials=3).write(tmp_path / "search")
    with pytest.raises(ConfigError, match="has no planned contrasts"):
        read_power(search.root)
    assert main(["power", str(search.root)]) == 2
    assert main(["power", str(tmp_path / "nothing")]) == 2
    assert "is no study folder" in capsys.readouterr().err


def test_a_study_with_one_arm_compares_nothing(synthetic, tmp_path):
    lines = [line for line in synthetic.SOLVER_STUDY.splitlines() if "scip" not in line and "cvxpy" not in line]
    folder = synthetic.SyntheticStudy(text="\n".join(lines)).write(tmp_path)
    with pytest.raises(ConfigError, match="compares no arm with its baseline"):
        read_power(folder.root)
