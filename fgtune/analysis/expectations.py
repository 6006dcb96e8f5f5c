"""What a study expected of its arms, held against the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fgtune.analysis.datasets.together import DatasetsSummary
from fgtune.analysis.records import ContrastSummary
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.config.schema.expected import ExpectedArm


class Outcome(StrEnum):
    """What became of an expectation."""

    HELD = "held"
    NOT_HELD = "not held"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class JudgedExpectation:
    """An expectation that the study file states of an arm, and what the study found.

    Attributes:
        arm: The arm, as the study file names it.
        expected: The verdicts that were expected, any of which would do.
        verdict: The verdict that was found; undecided before there is one.
        outcome: Whether the expectation held. An undecided verdict speaks neither for nor against it.
    """

    arm: str
    expected: tuple[str, ...]
    verdict: Verdict
    outcome: Outcome

    @property
    def sentence(self) -> str:
        """``no_coarse: hurts expected, equivalent found``."""
        return f"{self.arm}: {self.finding}"

    @property
    def finding(self) -> str:
        """The sentence without the arm."""
        expected = " or ".join(self.expected)
        if self.outcome is Outcome.UNDECIDED:
            return f"{expected} expected, no verdict yet"
        return f"{expected} expected, {self.verdict} found"


def judge_expectations(
    expected: Sequence[ExpectedArm], contrasts: Sequence[ContrastSummary], datasets: DatasetsSummary | None
) -> tuple[JudgedExpectation, ...]:
    """Hold what a study file expects against the verdicts.

    Args:
        expected: The expectations, in the order of the file.
        contrasts: The planned contrasts.
        datasets: The arms over all data sets together; None with a single one.
    """
    verdicts = {} if datasets is None else {each.arm: each.verdict for each in datasets.contrasts}
    verdicts |= {each.arm: each.judgement.verdict for each in contrasts if each.judgement is not None}
    judged = []
    for each in expected:
        verdict = verdicts.get(each.arm, Verdict.UNDECIDED)
        outcome = Outcome.HELD if verdict in each.verdicts else Outcome.NOT_HELD
        if verdict is Verdict.UNDECIDED:
            outcome = Outcome.UNDECIDED
        judged.append(JudgedExpectation(each.arm, each.verdicts, verdict, outcome))
    return tuple(judged)
