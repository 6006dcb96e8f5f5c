"""Published numbers beside measured ones: our estimate, the difference, its interval, and how the protocols differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.published import difference_interval
from fgtune.analysis.summary import summarise
from fgtune.analysis.table import tidy_table
from fgtune.analysis.verdicts.statistics import mean_interval
from fgtune.reporting.html import write_up

PRIMARY = "test/clustering_accuracy"
PUBLISHED = """
published:
  - source: FALCON, grid of K_F
    protocol: {protocol}
    n: 3
    note: Which data it is about is not stated.
    results:
      - {{arm: baseline, metric: test/clustering_accuracy, value: 0.604, sd: 0.012}}
      - {{levels: {{classes.num_fine_ratio: 0.8}}, metric: test/clustering_accuracy, value: 0.551, row: 80 %}}
      - {{levels: {{classes.num_fine_ratio: 1.5}}, metric: test/silhouette, value: 0.4, sd: 0.1, n: 1}}
"""


@pytest.fixture
def make(synthetic, kf_accuracy, tmp_path):
    def write(protocol: str, **options: object):
        text = synthetic.KF_STUDY + PUBLISHED.format(protocol=protocol)
        return synthetic.SyntheticStudy(text=text, accuracy=kf_accuracy, **options).write(tmp_path)

    return write


def test_numbers_are_those_of_the_tidy_table_and_of_welch(make):
    folder = make("{data.kind: digits, epochs: 60}")
    (comparison,) = summarise(folder).published
    table = tidy_table(folder)
    assert [row.arm for row in comparison.rows] == ["baseline", "num_fine_ratio=0.8", "num_fine_ratio=1.5"]
    for row in comparison.rows:
        ours = table[table["arm"] == row.arm][row.metric]
        assert row.ours.mean == pytest.approx(ours.mean())
        assert row.ours.n == 5
        assert row.difference == pytest.approx(ours.mean() - row.value)
    first, second, third = comparison.rows
    ours = table[table["arm"] == "baseline"][PRIMARY]
    sample = 0.604 + 0.012 * np.array([-1.0, 0.0, 1.0])  # three values of this mean and deviation
    welch = stats.ttest_ind(ours, sample, equal_var=False).confidence_interval(0.95)
    assert (first.low, first.high) == pytest.approx((welch.low, welch.high))
    assert math.isnan(second.low)  # no published deviation
    assert math.isnan(third.low)  # one published run
    assert (second.row, second.n, third.n) == ("80 %", 3, 1)


def test_a_protocol_that_agrees_is_said_to_agree_as_far_as_it_is_compared(make):
    (comparison,) = summarise(make("{data.kind: digits, epochs: 60}")).published
    assert not comparison.differs
    expected = "The settings that the study file compares agree (data.kind, epochs); "
    assert comparison.protocol.startswith(expected)


def test_every_setting_that_differs_is_named_with_both_values(make):
    (comparison,) = summarise(make("{data.kind: cifar100, epochs: 100, batch_size: 256, data.path: null}")).published
    assert comparison.differs
    assert "data.kind is digits here, cifar100 there; epochs is 60 here, 100 there" in comparison.protocol
    assert "batch_size" not in comparison.protocol
    assert "data.path is absent here, none there" in comparison.protocol


def test_a_smaller_sample_of_the_data_is_a_difference(make, synthetic):
    text = synthetic.KF_STUDY.replace("{kind: digits}", "{kind: digits, limit: 300}")
    assert text != synthetic.KF_STUDY
    (comparison,) = summarise(make("{epochs: 60}")).published
    assert not comparison.differs
    folder = synthetic.SyntheticStudy(text=text + PUBLISHED.format(protocol="{epochs: 60}"))
    (comparison,) = summarise(folder.write(make("{epochs: 60}").root / "limited")).published
    assert "data.limit is 300 here, none there" in comparison.protocol


def test_without_a_stated_protocol_the_numbers_are_not_called_comparable(make):
    (comparison,) = summarise(make("{}")).published
    assert "may not be comparable" in comparison.protocol


def test_before_any_cell_has_ended_there_is_the_published_number_alone(make, synthetic):
    seeds = {(arm, seed) for arm in ("baseline", "num_fine_ratio=0.8") for seed in range(5)}
    (comparison,) = summarise(make("{epochs: 60}", faults=synthetic.Faults(missing=seeds))).published
    row = comparison.rows[0]
    assert (row.value, row.ours.n) == (0.604, 0)
    assert math.isnan(row.difference)
    assert math.isnan(row.low)


def test_the_page_shows_them_beside_ours_with_a_mark_where_protocols_differ(make):
    page = write_up(make("{data.kind: cifar100, epochs: 60}"))[0].read_text(encoding="utf-8")
    assert "Published beside measured" in page
    assert '<span class="chip">other protocol</span>' in page
    assert "data.kind is digits here, cifar100 there" in page
    assert "Which data it is about is not stated." in page


@pytest.mark.slow
def test_a_study_without_published_results_has_no_such_section(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    assert summarise(folder).published == ()
    assert "Published beside measured" not in write_up(folder)[0].read_text(encoding="utf-8")


def test_equal_numbers_without_spread_have_a_point_as_interval():
    ours = mean_interval([0.5, 0.5, 0.5])
    assert difference_interval(ours, 0.25, 0.0, 3, 0.95) == (0.25, 0.25)


@pytest.mark.slow
def test_a_method_that_the_study_does_not_run_stands_beside_the_arms(synthetic, kf_accuracy, tmp_path):
    alone = "      - {row: SCGM <b>, metric: test/ari, value: 0.347, sd: 0.01}\n"
    text = synthetic.KF_STUDY + PUBLISHED.format(protocol="{epochs: 60}").rstrip() + "\n" + alone
    folder = synthetic.SyntheticStudy(text=text, accuracy=kf_accuracy).write(tmp_path)
    (comparison,) = summarise(folder).published
    row = comparison.rows[-1]
    assert (row.arm, row.row, row.value, row.sd, row.n, row.ours.n) == ("", "SCGM <b>", 0.347, 0.01, 3, 0)
    assert all(math.isnan(each) for each in (row.ours.mean, row.difference, row.low, row.high))
    assert len(comparison.rows) == 4
    page = write_up(folder)[0].read_text()
    assert "SCGM &lt;b&gt;" in page
    assert "not run here" in page


def test_a_table_of_foreign_methods_alone_compares_its_protocol_with_the_baseline(synthetic, kf_accuracy, tmp_path):
    rows = "[{row: A, metric: test/ari, value: 0.3}]"
    table = f"\npublished: [{{source: S, protocol: {{epochs: 61}}, results: {rows}}}]\n"
    folder = synthetic.SyntheticStudy(text=synthetic.KF_STUDY + table, accuracy=kf_accuracy).write(tmp_path)
    (comparison,) = summarise(folder).published
    assert comparison.differs
    assert "60 here, 61 there" in comparison.protocol
