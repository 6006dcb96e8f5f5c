from __future__ import annotations

import math

import pytest

from fgtune.analysis.formatting import (
    capital,
    factor_name,
    interval,
    level_text,
    metric_info,
    number,
    p_text,
    percent,
    seconds_text,
    setting_text,
)


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.9344, False, "0.934"),
        (-0.1214, True, "−0.121"),
        (0.0, True, "0.000"),
        (-0.0, False, "0.000"),
        (-2e-17, True, "0.000"),
        (0.0123, True, "+0.012"),
        (0.00012, False, "1e−04"),
        (12.345, False, "12.35"),
        (123.4, False, "123.4"),
        (-1.5, False, "−1.50"),
        (12345.6, False, "12\u202f346"),
        (math.nan, False, "–"),
        (math.inf, False, "∞"),
        (-math.inf, False, "−∞"),
    ],
)
def test_numbers_have_the_digits_a_reader_needs(value, sign, text):
    assert number(value, sign=sign) == text


def test_small_words():
    assert interval(0.1, math.nan) == "–"
    assert interval(-0.1, 0.2, sign=True) == "−0.100 to +0.200"
    assert (p_text(0.0004), p_text(0.0421), p_text(math.nan)) == ("<0.001", "0.042", "–")
    assert (percent(0.95), percent(math.nan)) == ("95 %", "–")
    assert [seconds_text(s) for s in (4.8e-4, 0.25, 2.5, 600, 9000)] == ["480 µs", "250 ms", "2.5 s", "10 min", "2.5 h"]


def test_levels_read_as_in_the_study_file():
    levels = [1.0, 10, 0.05, True, None, "cosine", {"kind": "flow"}, {"kind": "scip", "time_limit_s": 3.0}, [1, 2]]
    texts = ["1.0", "10", "0.05", "true", "none", "cosine", "flow", '{"kind": "scip", "time_limit_s": 3.0}', "[1, 2]"]
    assert [level_text(level) for level in levels] == texts


def test_settings_with_a_kind_are_words_for_readers():
    backbone = {"kind": "mlp", "hidden": [128, 128], "norm": "batch"}
    nested = {"kind": "kmeans", "pca": None, "then": {"kind": "gmm", "restarts": 10}}
    assert setting_text(backbone) == "mlp (hidden [128, 128], norm batch)"
    assert setting_text(nested) == "kmeans (pca none, then gmm (restarts 10))"
    assert setting_text({"kind": "flow"}) == "flow"
    for other in (0.05, "cosine", [1, 2], {"mean": 1, "std": 2}, {"kind": 3}):
        assert setting_text(other) == level_text(other)


def test_factors_are_named_by_the_shortest_unique_tail():
    among = ["objective.lambda_reg", "teacher.decay", "schedule.decay", "relations.solver.kind"]
    assert factor_name("classes.num_fine_ratio", among) == "K_F/K_F*"
    assert factor_name("objective.lambda_reg", among) == "lambda_reg"
    assert factor_name("teacher.decay", among) == "teacher.decay"
    assert factor_name("relations.solver.kind", among) == "solver"


def test_metrics_are_described_by_the_catalogue():
    info = metric_info("test/ari")
    assert (info.title, info.short, info.direction, info.high, info.oracle) == (
        "ARI (test)",
        "ARI",
        "maximize",
        1.0,
        True,
    )
    assert metric_info("val/loss_nn").direction == "minimize"
    unknown = metric_info("test/of_another_version")
    assert (unknown.direction, unknown.high, unknown.description) == ("none", math.inf, "")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("test/num_used_classes", "number of used classes (test)"),
        ("test/coarse_top1", "coarse top-1 (test)"),
        ("test/recall_fine_4", "fine recall at 4 (test)"),
        ("val/ari", "ARI (val)"),
    ],
)
def test_metrics_have_names_for_readers(name, title):
    assert metric_info(name).title == title


def test_an_identifier_keeps_its_case_at_the_start_of_a_sentence():
    assert capital("accuracy by arm") == "Accuracy by arm"
    assert capital("log_loss by arm") == "log_loss by arm"
