"""Published results in a study file: about one arm each, in a known metric and its unit, and no part of the study."""

from __future__ import annotations

import re

import pytest

from fgtune.config.reading.load import load_study
from fgtune.config.schema.published import PublishedResult, find_arm
from fgtune.engine.opening import open_study
from fgtune.errors import ConfigError

SEEDS = "seeds: 3"
ROW = "{arm: baseline, metric: test/ari, value: 0.5}"


def with_published(*rows: str, protocol: str = "{data.kind: cifar100}") -> tuple[str, str]:
    """A patch of the tiny study that publishes these rows."""
    table = f"published:\n  - source: A paper\n    protocol: {protocol}\n    results:\n"
    return SEEDS, SEEDS + "\n" + table + "".join(f"      - {row}\n" for row in rows)


def test_published_results_are_read_and_do_not_change_a_study_s_identity(write):
    plain = load_study(write()).study
    study = load_study(write(with_published(ROW))).study
    assert study.published[0].source == "A paper"
    assert study.published[0].results[0].value == 0.5
    assert study.identity() == plain.identity()
    assert open_study(write(with_published(ROW))).plan.study_hash == open_study(write()).plan.study_hash


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param(
            "{arm: nobody, metric: test/ari, value: 0.5}",
            r"^tiny\.yaml:14: published\[0\]\.results\[0\]\.arm: must be one arm of the plan, got 'nobody'\. "
            r"Fix: the arms are baseline, num_fine_ratio=0\.8, num_fine_ratio=1\.2; ",
            id="unknown arm",
        ),
        pytest.param(
            "{levels: {classes.num_fine_ratio: 0.9}, metric: test/ari, value: 0.5}",
            r"^tiny\.yaml:14: published\[0\]\.results\[0\]\.levels: must be one arm of the plan",
            id="unknown level",
        ),
        pytest.param(
            "{arm: baseline, metric: test/arri, value: 0.5}",
            r"^tiny\.yaml:14: published\[0\]\.results\[0\]\.metric: .*test/arri",
            id="unknown metric",
        ),
        pytest.param(
            "{arm: baseline, metric: train/ari, value: 0.5}",
            r"^tiny\.yaml:14: published\[0\]\.results\[0\]\.metric: train is not among",
            id="split that is not evaluated",
        ),
        pytest.param(
            "{arm: baseline, metric: test/ari, value: 42.5}",
            r"^tiny\.yaml:14: published\[0\]\.results\[0\]\.value: must be in test/ari's own unit, -0\.5 to 1, got "
            r"42\.5\. Fix: divide per cent by 100: 0\.425$",
            id="per cent",
        ),
        pytest.param(
            "{metric: test/ari, value: 0.5}",
            r"^tiny\.yaml:14: published\[0\]\.results\[0\]: give arm \(its name\) or levels.* needs row",
            id="no arm and no name of a method",
        ),
        pytest.param(
            "{arm: baseline, levels: {classes.num_fine_ratio: 0.8}, metric: test/ari, value: 0.5}",
            r"^tiny\.yaml:14: published\[0\]\.results\[0\]: give arm \(its name\) or levels",
            id="two arms",
        ),
        pytest.param(
            "{arm: baseline, metric: test/ari, value: 0.5, sd: -0.1}",
            r"^tiny\.yaml:14: published\[0\]\.results\[0\]\.sd: must be >= 0, got -0\.1",
            id="negative deviation",
        ),
    ],
)
def test_a_wrong_result_is_told_with_its_line_and_path(write, row, message):
    with pytest.raises(ConfigError) as caught:
        open_study(write(with_published(row)))
    assert re.match(message, str(caught.value)), str(caught.value)


def test_an_unknown_path_of_the_protocol_is_told(write):
    with pytest.raises(ConfigError, match=r"^tiny\.yaml:12: published\[0\]\.protocol: epocs is not a path below trial"):
        load_study(write(with_published(ROW, protocol="{epocs: 3}")))


def test_levels_name_the_arm_that_has_them_and_the_baseline_s_elsewhere():
    arms = {"baseline": {"a": 1.0, "b": 1}, "low": {"a": 0.5, "b": 1}, "both": {"a": 0.5, "b": 2}}
    baselines = dict.fromkeys(arms, arms["baseline"])

    def found(**given: object) -> str | None:
        plain = {"metric": "test/ari", "value": 0.5, **given}
        return find_arm(PublishedResult.from_plain(plain), arms, baselines)

    assert found(levels={"a": 0.5}) == "low"
    assert found(levels={"a": 1}) == "baseline"
    assert found(levels={"a": 0.5, "b": 2}) == "both"
    assert found(levels={"b": 2}) is None
    assert found(levels={"c": 2}) is None
    assert found(arm="both") == "both"
    assert found(arm="c") is None
