"""What a reader is warned of, and that nothing is said where nothing is wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from fgtune.analysis.discovery.choosing import Candidate, MethodChoice, NumFineChoice, NumFineLevel
from fgtune.analysis.discovery.classes import FineClass
from fgtune.analysis.discovery.text import num_fine_text, warnings_of

LEVELS = tuple(NumFineLevel(number, 0.5, 0.4, 0.6, (0.5,), near=True) for number in (3, 4, 6))
NUMBER = NumFineChoice(4, 4, 4, LEVELS)
ARM = Candidate("one", "one", 0.9, 0.8, 1.0, 0.2, (0.2,), {}, 3, 1.0)


def fine_class(rank: int, parent: str = "cat", size: int = 40, recovered: tuple[float, ...] = (0.9, 0.8)) -> FineClass:
    return FineClass(rank, f"{parent} {rank}", parent, size, 0.5, 0.9, 0, (), (), recovered, ())


CLASSES = (*(fine_class(rank) for rank in (1, 2)), *(fine_class(rank, "dog") for rank in (3, 4)))


def warned(**changes) -> str:
    given = {"num_fine": NUMBER, "classes": CLASSES, "runs": 2, "coarse_accuracy": 0.95, "failed": 0} | changes
    seeds = given.pop("seeds", 3)
    one = replace(ARM, seeds=seeds, **given.pop("chosen", {}))
    method = MethodChoice("one", False, "", (one, replace(ARM, arm="two", title="another")))
    return " ".join(warnings_of(given.pop("num_fine"), method, **given))


def test_nothing_is_said_where_nothing_is_wrong():
    assert warned() == ""
    assert warned(coarse_accuracy=math.nan) == ""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"classes": (fine_class(9, recovered=(0.9, 0.3)), *CLASSES)}, ""),
        (
            {"classes": (fine_class(9, recovered=(0.2, 0.3)), *CLASSES)},
            "1 class of 5 was not found again in most other",
        ),
        (
            {"classes": [fine_class(rank, recovered=(0.2, 0.3)) for rank in (1, 2, 3, 4)]},
            "Most classes (4 of 4) were not",
        ),
        (
            {"classes": (*CLASSES, fine_class(5, "cow"))},
            "1 coarse class is not divided (cow): with 4 classes in all, it is",
        ),
        ({"classes": CLASSES[:3]}, "1 class of 4 got no sample."),
        ({"classes": (fine_class(9, size=4), *CLASSES)}, "Fewer than 10 samples: cat 9."),
        (
            {"num_fine": replace(NUMBER, edge="largest")},
            "The best number of fine classes, 4, is the largest that was tried",
        ),
        ({"num_fine": replace(NUMBER, missing=(6, 8))}, "did not suffice to try 6 and 8 fine classes as often"),
        ({"num_fine": replace(NUMBER, low=3, high=8)}, "Any number of fine classes from 3 to 8 agrees with the runs"),
        ({"coarse_accuracy": 0.4}, "predicts only 40% of the coarse labels"),
        ({"failed": 2}, "2 cells failed"),
        (
            {"chosen": {"trained": False}},
            "is weak evidence, and the shared silhouette, which is measured in the same inputs",
        ),
        ({"chosen": {"trained": False}}, "look at the samples of each class, and at how another does in the table"),
        ({"chosen": {"trained": False}, "runs": 0}, ""),
        ({"chosen": {"identical": True}}, "All runs of the chosen method found exactly the same classes, so agreement"),
        ({"seeds": 2}, "The method has 2 complete seeds"),
    ],
)
def test_what_is_wrong_is_named_with_a_next_step(changes, text):
    assert text in warned(**changes)
    assert bool(warned(**changes)) == bool(text)


def test_the_number_of_classes_is_told_with_its_interval():
    assert num_fine_text(NumFineChoice(5, 5, 5)) == "5 fine classes, as given."
    assert "on the neighbouring numbers that were tried, runs agree less" in num_fine_text(NUMBER)
    assert "on 3 to 6 they are not shown to agree less" in num_fine_text(replace(NUMBER, low=3, high=6))
    alone = replace(NUMBER, levels=LEVELS[1:2])
    assert num_fine_text(alone) == "4 fine classes, the only number that was tried."
    assert "of 3 numbers tried so far" in num_fine_text(replace(NUMBER, missing=(8,)))
