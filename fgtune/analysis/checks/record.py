"""A health check as a record, and what the checks are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import ContrastSummary, Look, SolverRow
from fgtune.analysis.search.arm_search_summary import ArmSearchesSummary
from fgtune.analysis.search.joint_choice import JointChoice
from fgtune.analysis.search.overview import SearchSummary
from fgtune.analysis.search.selection import LabelFreeChoice
from fgtune.analysis.verdicts.judgement import Doubt
from fgtune.analysis.verdicts.shape import Shape


class Status(StrEnum):
    """How a check ended."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Check:
    """The outcome of a health check that applies to a study.

    Attributes:
        name: What was checked, in a few words.
        status: FAIL where numbers of the study cannot be taken as they stand, WARN where they need care.
        sentence: What was found.
        next_step: What to do about it; empty if the check passed.
    """

    name: str
    status: Status
    sentence: str
    next_step: str = ""

    @property
    def passed(self) -> bool:
        """Whether there is nothing to do."""
        return self.status is Status.PASS


@dataclass(frozen=True)
class Material:
    """What checks read: the folder's content and what its summary found.

    Attributes:
        data: The study.
        primary: The primary metric.
        contrasts: The planned contrasts; none in a search.
        shapes: The shape of the seeds by data set; empty in a search.
        looks: The looks at them, the last one being this; none in a search.
        solvers: The use of the solvers.
        choices: What choosing an arm by each label-free metric would cost.
        joint_choices: What agreement and the shared judge choose together.
        search: What a search found; None for other designs.
        arm_searches: The searches inside the arms of a comparison; None if there are none.
    """

    data: StudyData
    primary: MetricInfo
    contrasts: Sequence[ContrastSummary]
    shapes: Mapping[str, Shape]
    looks: Sequence[Look]
    solvers: Sequence[SolverRow]
    choices: Sequence[LabelFreeChoice]
    joint_choices: Sequence[JointChoice]
    search: SearchSummary | None
    arm_searches: ArmSearchesSummary | None

    def undone_by(self, doubt: Doubt) -> list[str]:
        """Labels of the planned contrasts whose answer such a doubt undoes."""
        return [each.label for each in self.contrasts if each.judgement is not None and each.judgement.doubt == doubt]


def passed(name: str, sentence: str) -> Check:
    """A check that found nothing."""
    return Check(name, Status.PASS, sentence)


def warned(name: str, sentence: str, next_step: str) -> Check:
    """A check whose finding needs care."""
    return Check(name, Status.WARN, sentence, next_step)


def failed(name: str, sentence: str, next_step: str) -> Check:
    """A check whose finding makes numbers useless as they stand."""
    return Check(name, Status.FAIL, sentence, next_step)
