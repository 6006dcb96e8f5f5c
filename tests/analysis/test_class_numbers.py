"""The number of fine classes from a study over K_F: the peak, the numbers it does not beat, and what to try next."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.agreement import pseudo_values
from fgtune.analysis.class_numbers import choose_numbers, find_peak
from fgtune.analysis.formatting import interval, number
from fgtune.analysis.inputs import read_study
from fgtune.config.schema.base import data_key
from fgtune.reporting.html import write_up
from fgtune.results.records import LabelsRecord, PredictionsRecord


def agreements(means, n=5, noise=0.02, seed=0):
    """Pseudo-values of tables of pairs that share a part by seed, as the pairs of seeds do."""
    rng = np.random.default_rng(seed)
    found = {}
    for size, mean in means.items():
        own, rest = rng.normal(0, noise, n), rng.normal(0, noise, (n, n))
        table = mean + own[:, None] + own + (rest + rest.T) / 2
        found[size] = dict(enumerate(pseudo_values(table).tolist()))
    return found


def test_the_numbers_left_are_those_of_scipys_paired_test_at_alpha_by_the_number_of_rivals():
    means = {6: 0.40, 8: 0.61, 10: 0.66, 12: 0.63, 16: 0.55}
    for seed in range(20):
        values = agreements(means, noise=0.04, seed=seed)
        best = max(values, key=lambda size: np.mean(list(values[size].values())))
        kept = [
            size for size, own in values.items()
            if size == best
            or stats.ttest_rel(list(own.values()), list(values[best].values()), alternative="less").pvalue > 0.05 / 4
        ]  # fmt: skip
        peak = find_peak(values, alpha=0.05)
        assert (peak.best, list(peak.left)) == (best, kept)


def test_the_truly_highest_is_left_in_at_least_95_percent_of_simulated_studies():
    means = {8: 0.58, 10: 0.60, 12: 0.60, 14: 0.59}  # two share the top, and the others are close: the hardest case
    missing = sum(10 not in find_peak(agreements(means, seed=seed), alpha=0.05).left for seed in range(300))
    assert missing <= 24  # 5 % of 300 is 15; binomial upper 1 % point


def test_a_clear_peak_leaves_itself_alone():
    peak = find_peak(agreements({6: 0.3, 8: 0.5, 10: 0.8, 12: 0.5, 16: 0.4}), alpha=0.05)
    assert (peak.best, peak.left, peak.next, peak.at_edge) == (10, (10,), (9, 11), False)


def test_two_seeds_choose_but_tell_no_interval():
    peak = find_peak({6: {0: 0.4}, 8: {0: 0.7}, 10: {0: 0.5}}, alpha=0.05)  # two seeds have one pair
    assert (peak.best, peak.left) == (8, ())


def test_values_that_do_not_vary_are_told_apart_by_their_means():
    same = dict.fromkeys(range(4), 0.5)
    assert find_peak({4: same, 6: same, 8: dict.fromkeys(range(4), 0.4)}, alpha=0.05).left == (4, 6)


@pytest.mark.parametrize(
    ("tops", "expected"),
    [
        ({8: 0.7, 12: 0.5, 16: 0.4}, ((6, 10), True)),
        ({8: 0.4, 12: 0.5, 16: 0.7}, ((14, 20), True)),
        ({8: 0.4, 9: 0.7, 10: 0.4}, ((), False)),
        ({3: 0.7, 4: 0.5, 5: 0.4}, ((), False)),  # fewer than the three coarse classes make no sense
    ],
)
def test_next_is_halfway_to_the_neighbours_or_beyond_the_edge(tops, expected):
    peak = find_peak({size: {0: value} for size, value in tops.items()}, alpha=0.05, fewest=3)
    assert (peak.next, peak.at_edge) == expected


def test_nothing_to_choose_from_is_an_error():
    with pytest.raises(ValueError, match="no number of fine classes has an agreement"):
        find_peak({}, alpha=0.05)


STUDY = """
study: numbers
question: How many fine classes are there?
design: {kind: sensitivity, factors: {classes.num_fine: [4, 6, 8, 10]}, baseline: {classes.num_fine: 6}}
seeds: 4
trial: {data: {kind: digits}, classes: {num_fine: 6}, epochs: 3}
"""
TRUE = np.arange(240) % 10
LABELS = LabelsRecord.of((TRUE // 5)[:, None], (2,))


def write_study(synthetic, out, shares, text=STUDY):
    """A folder whose seeds move this share of samples to a random class, for each K_F."""
    folder = synthetic.SyntheticStudy(text=text).write(out)
    data = read_study(folder)

    def size_of(cell_id) -> int:
        given = data.results[cell_id].config["classes"]["num_fine"]
        return given if isinstance(given, int) else 6

    for config in {str(each.config["data"]): each.config["data"] for each in data.results.values()}.values():
        folder.write_labels(data_key(config), LABELS)
    for arm in data.arms:
        for cell in data.cells(arm.name):
            size = size_of(cell.cell_id)
            rng = np.random.default_rng([cell.seed, size])
            share = shares[arm.dataset][size] if arm.dataset else shares[size]
            fine = np.where(rng.random(240) < share, rng.integers(0, size, 240), TRUE % size)
            folder.write_predictions(cell.cell_id, PredictionsRecord(fine.astype(np.int8), np.full(240, 7, np.int8)))
    return folder


@pytest.mark.slow
def test_a_study_over_k_f_says_where_its_seeds_agree_most_and_marks_the_true_number(synthetic, tmp_path):
    folder = write_study(synthetic, tmp_path, {4: 0.5, 6: 0.3, 8: 0.05, 10: 0.3})
    (found,) = choose_numbers(read_study(folder))
    assert [point.num_fine for point in found.points] == [4, 6, 8, 10]
    assert (found.peak.best, found.peak.left, found.peak.next, found.truth) == (8, (8,), (7, 9), 10)
    assert found.sentence.startswith("Seeds agree most at K_F = 8: ")
    assert found.sentence.endswith(
        "On the 3 other numbers tried they agree less (95 % confidence). "
        f"Clustering accuracy (test) is best at {found.best}, and there it is better by {number(found.lost)}. "
        "To narrow it down, try 7 and 9."
    )
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "Choosing the number of fine classes" in page
    assert "Dashed: the 10 classes of the data." in page
    assert 'id="numbers-0-data"' in page


def test_a_peak_at_the_edge_and_numbers_that_it_does_not_beat_are_named(synthetic, tmp_path):
    folder = write_study(synthetic, tmp_path, {4: 0.5, 6: 0.4, 8: 0.1, 10: 0.1})
    (found,) = choose_numbers(read_study(folder))
    assert found.peak.best in {8, 10}
    assert set(found.peak.left) == {8, 10}
    assert f"Not shown to agree less: {18 - found.peak.best}." in found.sentence
    if found.peak.best == 10:
        assert "It is the largest tried, so the peak may lie beyond." in found.sentence


def test_studies_of_other_factors_or_without_predictions_choose_no_number(synthetic, tmp_path):
    assert choose_numbers(read_study(synthetic.SyntheticStudy(text=STUDY).write(tmp_path / "none"))) == ()
    other = STUDY.replace("classes.num_fine: [4, 6, 8, 10]", "optimizer.lr: [0.1, 0.2, 0.3]").replace(
        "baseline: {classes.num_fine: 6}", "baseline: {optimizer.lr: 0.1}"
    )
    assert choose_numbers(read_study(synthetic.SyntheticStudy(text=other).write(tmp_path / "other"))) == ()


SEVERAL = """
study: several
question: How many fine classes are there, on either data set?
design:
  kind: comparison
  baseline: six
  arms:
    - {name: eight, set: {classes.num_fine: 8}}
    - {name: six}
    - {name: four, set: {classes.num_fine: 4}}
    - {name: slow, set: {optimizer.lr: 0.001}}
    - {name: slow-ten, set: {classes.num_fine: 10, optimizer.lr: 0.001}}
  datasets: {one: {kind: digits}, two: {kind: hierarchy}}
seeds: 4
trial: {data: {kind: digits}, classes: {num_fine: 6}, epochs: 3}
"""
ON_EACH = {"one": {4: 0.5, 6: 0.02, 8: 0.4, 10: 0.0}, "two": {4: 0.5, 6: 0.3, 8: 0.02, 10: 0.0}}


def test_a_comparison_chooses_on_each_data_set_among_the_arms_that_differ_in_k_f_alone(synthetic, tmp_path):
    folder = write_study(synthetic, tmp_path, ON_EACH, SEVERAL)
    data = read_study(folder)
    found = choose_numbers(data)
    assert [(each.dataset, each.peak.best, each.chosen.arm) for each in found] == [
        ("one", 6, "six@one"), ("two", 8, "eight@two")
    ]  # fmt: skip
    for each in found:
        means = {point.num_fine: point.estimates["test/clustering_accuracy"].mean for point in each.points}
        assert [*means] == [4, 6, 8]
        assert means[each.best] == max(means.values())
        assert each.lost == pytest.approx(max(means.values()) - means[each.peak.best])


def numbers_of(found) -> list[int]:
    return [point.num_fine for each in found for point in each.points]


def with_arms(arms: str) -> str:
    """The study on one data set with these arms and its baseline."""
    return re.sub(r"  arms:.*seeds:", f"  arms:\n    - {{name: six}}\n{arms}\nseeds:", SEVERAL, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        (["classes.num_fine: 8", "classes.num_fine: 10"], [6, 8, 10]),
        (["classes: {num_fine: 8}", "classes: {num_fine: 10}"], [6, 8, 10]),
        (["classes.num_fine: 8", "classes.num_fine: 10, epochs: 4"], []),  # two are left
        (["classes.num_fine: 8", "classes.num_fine: 10", "classes.num_fine: estimate"], [6, 8, 10]),
    ],
)
def test_arms_count_that_state_their_k_f_and_differ_in_nothing_else(synthetic, tmp_path, changes, numbers):
    arms = "\n".join(f"    - {{name: a{n}, set: {{{change}}}}}" for n, change in enumerate(changes))
    shares = dict.fromkeys([6, 8, 10], 0.1)
    text = with_arms(arms)
    assert numbers_of(choose_numbers(read_study(write_study(synthetic, tmp_path, shares, text)))) == numbers


def test_what_is_lost_is_counted_over_the_seeds_that_all_numbers_share(synthetic, tmp_path):
    shares = {4: 0.5, 6: 0.3, 8: 0.05, 10: 0.3}
    data = read_study(write_study(synthetic, tmp_path, shares))
    dropped = {data.cells(arm)[0].cell_id for arm in (data.arms[0].name,)}  # its first seed
    data = replace(data, results={key: value for key, value in data.results.items() if key not in dropped})
    (found,) = choose_numbers(data)
    values = {each.num_fine: data.values(each.arm, "test/clustering_accuracy") for each in found.points}
    means = {size: np.mean([by_seed[seed] for seed in (1, 2, 3)]) for size, by_seed in values.items()}
    assert means[found.best] == max(means.values())
    assert found.lost == pytest.approx(max(means.values()) - means[found.peak.best])


def cells_of(page: str, row: str) -> list[str]:
    """The texts of a row of the table of numbers."""
    table = page.partition("The number of fine classes at which seeds agree most")[2].partition("</table>")[0]
    found = re.search(rf'<tr><th scope="row">{row}</th>(.*?)</tr>', table, re.DOTALL)
    return [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", found[1], re.DOTALL)]


@pytest.mark.slow
def test_a_page_of_several_data_sets_has_a_table_and_two_figures_for_each(synthetic, tmp_path):
    folder = write_study(synthetic, tmp_path, ON_EACH, SEVERAL)
    page = write_up(folder)[0].read_text(encoding="utf-8")
    for each in choose_numbers(read_study(folder)):
        classes, chosen, agreement, best, lost, left, tried, further = cells_of(page, each.dataset)
        agreed = each.chosen.estimates["agreement"]
        assert (classes, best) == ("10", str(each.best))
        assert chosen == str(each.peak.best) + " (at an end)" * each.peak.at_edge
        assert agreement == f"{number(agreed.mean)} ({interval(agreed.low, agreed.high)})"
        assert lost == number(each.lost)
        assert left == (", ".join(str(size) for size in each.peak.left if size != each.peak.best) or "none")
        assert (tried, further) == ("4, 6, 8", ", ".join(map(str, each.peak.next)) or "–")
    for ident in ("numbers-0", "numbers-1", "numbers-1-0", "numbers-1-1"):
        assert f'id="{ident}-data"' in page
    assert 'id="numbers-2-data"' not in page


@pytest.mark.slow
def test_a_data_set_without_a_choice_is_named(synthetic, tmp_path):
    folder = write_study(synthetic, tmp_path, ON_EACH, SEVERAL)
    data = read_study(folder)
    for arm in data.arms:
        for cell in data.cells(arm.name) if arm.dataset == "one" else ():
            (folder.predictions_dir / f"{cell.cell_id}.npz").unlink()
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "On one fewer than three numbers have an agreement." in page
    assert cells_of(page, "two")[1] == "8 (at an end)"


def test_where_less_is_better_what_is_lost_is_still_a_cost(synthetic, tmp_path):
    text = STUDY.replace("seeds: 4", "seeds: 4\nmetrics: {primary: test/ged}")
    (found,) = choose_numbers(read_study(write_study(synthetic, tmp_path, {4: 0.5, 6: 0.3, 8: 0.05, 10: 0.3}, text)))
    means = {point.num_fine: point.estimates["test/ged"].mean for point in found.points}
    assert means[found.best] == min(means.values())
    assert found.lost == pytest.approx(means[8] - min(means.values()))


def test_a_number_that_is_better_on_all_shared_seeds_is_not_ruled_out():
    agreements = {8: {0: 0.5, 1: 0.5, 2: 0.5, 3: 0.1}, 10: {0: 0.45, 1: 0.45, 2: 0.45, 4: 0.9}, 12: {0: 0.2, 1: 0.2}}
    agreements[12] |= {2: 0.21}
    assert find_peak(agreements, alpha=0.05).left == (8, 10)
