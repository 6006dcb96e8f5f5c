"""What a notebook shows: small tables, escaped, without anything that runs; and the frames behind them."""

from __future__ import annotations

from html.parser import HTMLParser

import pandas as pd
import pytest

import fgtune
from fgtune.analysis.small_html import MOST_ROWS, small_table


class Checked(HTMLParser):
    """Collects tags, and fails where they do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


SHOWN = {"p", "b", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.fixture
def results(synthetic, tmp_path):
    return fgtune.open_results(synthetic.SyntheticStudy().write(tmp_path).root)


def test_results_and_verdicts_are_a_small_table(results):
    for shown in (results._repr_html_(), results.verdicts._repr_html_()):
        assert Checked(shown).tags <= SHOWN
        assert results.answer.split()[0] in shown
        assert len(shown) < 5_000
        for contrast in results.verdicts.contrasts:
            assert contrast.verdict.value in shown


def test_texts_are_escaped(small_study):
    study = fgtune.load_study(small_study, overrides={"question": "<script>alert(1)</script> & <b>"})
    shown = study._repr_html_()
    assert Checked(shown).tags <= SHOWN
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;" in shown
    assert "test/clustering_accuracy" in shown


def test_a_plan_has_a_row_an_arm(small_study, tmp_path):
    plan = fgtune.plan(small_study, out=tmp_path)
    assert Checked(plan._repr_html_()).tags <= SHOWN
    assert plan.arms.to_dict("records") == [
        {
            "arm": "baseline",
            "is_baseline": True,
            "classes.num_fine_ratio": 1.0,
            "num_fine": "6",
            "cells": 2,
            "complete": 0,
            "failed": 0,
            "pruned": 0,
        },
        {
            "arm": "num_fine_ratio=1.5",
            "is_baseline": False,
            "classes.num_fine_ratio": 1.5,
            "num_fine": "9",
            "cells": 2,
            "complete": 0,
            "failed": 0,
            "pruned": 0,
        },
    ]


def test_long_tables_are_cut_and_say_so():
    shown = small_table(["a"], [[str(row)] for row in range(MOST_ROWS + 2)])
    assert shown.count("<tr>") == MOST_ROWS + 1
    assert "and 2 more rows" in shown


def test_arms_and_contrasts_are_tidy_frames(results):
    arms, contrasts = results.arms, results.contrasts
    done = results.table[results.table["state"] == "COMPLETE"]
    by_arm = done.groupby("arm")[results.verdicts.metric].agg(["mean", "std", "count"])
    primary = arms[arms["metric"] == results.verdicts.metric].set_index("arm")
    pd.testing.assert_series_equal(primary["mean"], by_arm["mean"].loc[primary.index], check_names=False)
    pd.testing.assert_series_equal(primary["sd"], by_arm["std"].loc[primary.index], check_names=False)
    assert primary["n"].tolist() == by_arm["count"].loc[primary.index].tolist()
    assert (arms["low"] <= arms["mean"]).all()
    assert contrasts["arm"].tolist() == [each.arm for each in results.verdicts.contrasts]
    assert set(contrasts["verdict"]) <= {"helps", "hurts", "equivalent", "undecided"}
    assert contrasts["difference"].dtype == "float64"
    means = primary["mean"]
    for row in contrasts.itertuples():
        assert row.difference == pytest.approx(means[row.arm] - means[row.baseline])


@pytest.mark.slow
def test_a_study_without_contrasts_has_an_empty_frame(synthetic_search, tmp_path):
    results = fgtune.open_results(synthetic_search.SyntheticSearch().write(tmp_path).root)
    assert results.contrasts.empty
    assert "verdict" in results.contrasts
    assert Checked(results._repr_html_()).tags <= SHOWN
