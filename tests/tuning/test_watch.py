from __future__ import annotations

import pytest

from fgtune.config.schema.study import ExecutionConfig
from fgtune.results.records import EpochMetrics
from fgtune.tuning.watch import FORCE_AFTER_S, TrialWatch


class Time:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def watch(clock):
    def make(**execution):
        return TrialWatch(ExecutionConfig.from_plain(execution), clock, clock)

    return make


def epochs(*numbers, seconds=2.0):
    return [EpochMetrics(number, number, {}, seconds) for number in numbers]


def actions(watch):
    return [(alarm.cell_id, alarm.action) for alarm in watch.due()]


def test_a_trial_is_silent_after_a_multiple_of_its_median_epoch_and_said_to_be_once(watch, clock):
    found = watch(silence={"factor": 10, "floor_s": 5})
    found.started("a", "arm")
    found.heard("a", [], [*epochs(1, 2, 3), *epochs(4, seconds=100.0)])  # median 2 s, mean 26.5 s
    clock.now += 19.9
    assert found.due() == []
    clock.now += 0.2
    (alarm,) = found.due()
    assert (alarm.action, alarm.text) == ("warn", "no epoch for 20 s since epoch 4, the median is 2.0 s")
    clock.now += 1000
    assert found.due() == [], "warn does nothing more"
    found.heard("a", [], epochs(5))
    clock.now += 21
    assert actions(found) == [("a", "warn")], "a trial that was heard of again may fall silent again"


def test_the_floor_counts_where_epochs_are_short(watch, clock):
    found = watch(silence={"factor": 10, "floor_s": 60})
    found.started("a", "arm")
    found.heard("a", [], epochs(1, 2, 3, seconds=0.01))
    clock.now += 59
    assert found.due() == []
    clock.now += 2
    assert "the median is below 0.1 s" in found.due()[0].text


@pytest.mark.parametrize("then", ["retry", "fail"])
def test_after_twice_the_time_the_setting_decides(watch, clock, then):
    found = watch(silence={"factor": 10, "floor_s": 5, "then": then})
    found.started("a", "arm")
    found.started("other", "arm")
    clock.now += 6
    assert actions(found) == [("a", "warn"), ("other", "warn")]
    found.heard("other", [], epochs(1, seconds=0.1))
    clock.now += 4.5
    assert actions(found) == [("a", then)], "the other one has gone on"
    assert actions(found) == []
    found.ended("a")
    found.started("a", "arm")
    assert actions(found) == [], "a restarted trial has its time again"


def test_what_held_up_the_driver_itself_is_no_silence_of_a_trial(watch, clock):
    found = watch(silence={"factor": 10, "floor_s": 5, "then": "retry"}, max_trial_s=60)
    found.started("a", "arm")
    clock.now += 400  # the disk was full, or the machine slept
    found.excuse(400)
    assert found.due() == []
    clock.now += 6
    assert actions(found) == [("a", "warn")]
    clock.now += 60
    assert actions(found) == [("a", "fail")], "the time that the trial itself took still counts"


def test_a_trial_without_epochs_of_its_own_is_judged_by_its_arm_before_all_others(watch, clock):
    found = watch(silence={"factor": 2, "floor_s": 1})
    found.started("slow", "large")
    found.heard("slow", [], epochs(1, 2, 3, seconds=50))
    found.ended("slow")
    found.started("quick", "small")
    found.heard("quick", [], epochs(*range(1, 20), seconds=1))
    found.ended("quick")
    found.started("large", "large")
    found.started("third", "third")
    clock.now += 99
    assert actions(found) == [("third", "warn")]
    clock.now += 2
    assert actions(found) == [("large", "warn")]


def test_preparation_has_no_epochs_so_that_silence_before_the_first_is_only_a_warning(watch, clock):
    found = watch(silence={"factor": 2, "floor_s": 10, "then": "fail"})
    found.started("a", "arm", prepares=True)
    clock.now += 100
    assert actions(found) == [("a", "warn")]
    assert actions(found) == []
    found.ended("a")
    found.started("a", "arm", prepares=True)
    clock.now += 100
    assert actions(found) == [("a", "warn")], "a trial that continues prepares again"
    found.heard("a", epochs(1, 2), epochs(3))
    clock.now += 21
    assert actions(found) == [("a", "fail")]


def test_a_trial_whose_time_is_up_is_ended_where_its_worker_has_not_ended_it(watch, clock):
    found = watch(max_trial_s=60)
    found.started("a", "arm")
    clock.now += 60
    assert actions(found) == [], "the worker has a little time to say it itself"
    clock.now += FORCE_AFTER_S
    (alarm,) = found.due()
    assert alarm.action == "fail"
    assert alarm.text.startswith("ran for 65 s, longer than execution.max_trial_s (60), and reached epoch 0")


def test_epochs_that_a_trial_continues_from_count_with_the_seconds_that_they_took(watch, clock):
    found = watch(max_trial_s=60)
    found.started("a", "arm")
    found.heard("a", epochs(1, 2, seconds=20), [])
    clock.now += 20 + FORCE_AFTER_S - 1
    assert actions(found) == []
    clock.now += 1
    assert actions(found) == [("a", "fail")]


def test_what_runs_is_told_in_seconds_since_1970(clock):
    wall = Time()
    wall.now = 1.7e9
    found = TrialWatch(ExecutionConfig(), clock, wall)
    found.started("a", "arm")
    clock.now, wall.now = clock.now + 7, wall.now + 7
    found.heard("a", [], epochs(1, 2, 3))
    clock.now, wall.now = clock.now + 3, wall.now + 3
    (trial,) = found.running()
    assert (trial.cell_id, trial.epoch, trial.usual_s, trial.silent_after_s) == ("a", 3, 2.0, 300.0)
    assert (trial.started, trial.heard) == (1.7e9, 1.7e9 + 7)
    found.ended("a")
    assert found.running() == []
