"""The type of a catalogue entry; needs only the standard library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["maximize", "minimize", "none"]
Reads = Literal["no labels", "coarse labels", "fine classes", "fine values", "right coarse labels"]

SPLITS = ("train", "val", "test")
"""Prefixes of metric names in the records: ``test/ari``."""


@dataclass(frozen=True)
class NeededSetting:
    """What a study must set, so that a metric is measured.

    Attributes:
        paths: Dotted paths below ``trial``; one of them must have a value other than none, false and 0.
        fix: What to write.
        rule: Why the metric is absent otherwise.
        entry: An entry that the list at the path must have; None where it is no list.
        in_one_arm: Whether an arm that has it is enough; otherwise every arm needs it.
    """

    paths: tuple[str, ...]
    fix: str
    rule: str = "is not measured by default"
    entry: int | str | None = None
    in_one_arm: bool = False

    @classmethod
    def listed(cls, path: str, entry: int | str) -> NeededSetting:
        """An entry of the list at ``path``."""
        return cls((path,), f"add {entry} to trial.{path}", entry=entry)


@dataclass(frozen=True)
class MetricSpec:
    """What one metric means.

    Attributes:
        name: Name after the split prefix.
        description: What is measured, in a sentence fragment.
        low: Smallest possible value, possibly ``-inf``.
        high: Largest possible value; ``inf`` where the bound depends on the classes or there is none.
        direction: Which way is better; ``none`` if neither is.
        reads: The labels that it needs; fine targets, and the coarse labels that wrong ones were made
            of, make it an oracle metric.
        empty: What an input without samples (or without labels, or terms) yields.
        needs: What a study must set for it to be measured; nothing where it always is.
        splits: Splits on which it is measured, where the config asks for them.
        unevaluated: Whether its value on the training split comes from training, or from before it, so that the split
            need not be evaluated.
        final: Measured after the last epoch only, so it has no curve and cannot stop a trial early, unless ``curve``
            is set.
        curve: The setting with which it is measured at every evaluation, although it is ``final``; None where there is
            none.
        counts: Whether it is a share of the split's samples, so that it moves in steps of one sample.
        whole: Whether each of its values is a whole number.
    """

    name: str
    description: str
    low: float
    high: float
    direction: Direction
    reads: Reads
    empty: str
    needs: tuple[NeededSetting, ...] = ()
    splits: tuple[str, ...] = SPLITS
    unevaluated: bool = False
    final: bool = False
    curve: NeededSetting | None = None
    counts: bool = False
    whole: bool = False

    @property
    def oracle(self) -> bool:
        """Whether it reads what training cannot know."""
        return self.reads in ("fine classes", "fine values", "right coarse labels")


def sign_of(direction: Direction) -> float:
    """1 if larger is better (or neither), -1 if smaller is."""
    return -1.0 if direction == "minimize" else 1.0
