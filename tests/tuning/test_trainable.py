from __future__ import annotations

import inspect
import re

from ray.tune import Trainable

from fgtune.tuning.trainable import CellTrainable


def attributes(source: type) -> set[str]:
    return set(re.findall(r"\bself\.(_\w+)", inspect.getsource(source)))


def test_no_attribute_is_one_that_ray_sets_for_itself():
    """Ray's ``reset`` sets some of its own after ours: what a continued cell had to report was lost so."""
    assert not attributes(CellTrainable) & attributes(Trainable)
