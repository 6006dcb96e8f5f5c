"""What ``verdicts.json`` holds, the answer of a study for programs: its models, from which the JSON schema is made."""

from __future__ import annotations

from typing import Any

from pydantic import Field, JsonValue

from fgtune.analysis.checks.record import Status
from fgtune.analysis.expectations import Outcome
from fgtune.analysis.formatting import interval, metric_info, number, p_text
from fgtune.analysis.small_html import paragraph, small_table
from fgtune.analysis.verdict_base import Number, Record
from fgtune.analysis.verdict_joint import Parts, Profiles, Variance
from fgtune.analysis.verdicts.judgement import Doubt, Verdict
from fgtune.analysis.verdicts.robust import SummaryKind
from fgtune.catalog.spec import Direction

SCHEMA_VERSION = 1
"""Increase it when a field changes its meaning or goes; a new field leaves it."""


class Cells(Record):
    """How the planned cells ended; a search's are those of the points proposed so far."""

    planned: int
    """All of them."""
    complete: int
    """Ran to their end."""
    failed: int
    """Crashed."""
    pruned: int
    """Stopped early by a scheduler."""
    missing: int
    """Not run yet, or cut off. Everything else may change when they have run."""


class Lost(Record):
    """Seeds at which an arm ended without a value of the metric, by what happened."""

    failed: tuple[int, ...]
    """Crashed."""
    undefined: tuple[int, ...]
    """Ran to their end, but the value is not finite."""
    stopped: tuple[int, ...]
    """Stopped early by a scheduler."""


class Advice(Record):
    """How many pairs would find a difference of the margin (without one, of the size measured), with 80 % power."""

    low: int | None
    """If the standard deviation is as measured; null for more than 1000."""
    high: int | None
    """On average over what the standard deviation may be; null for more than 1000."""


class Contrast(Record):
    """A planned contrast: an arm against its baseline on the primary metric."""

    arm: str
    """Name in ``plan.csv``."""
    label: str
    """Name for readers."""
    dataset: str | None
    """Name of the data set in a comparison over several, else null."""
    baseline: str
    """The arm that it is compared with, by its name in ``plan.csv``."""
    metric: str
    """The primary metric."""
    n: int
    """Number of pairs: seeds with a value in both arms."""
    lost: int
    """Number of seeds that ended without a value in either arm."""
    lost_in_arm: Lost
    """Which of them the arm lost."""
    lost_in_baseline: Lost
    """Which of them the baseline lost."""
    difference: Number
    """Arm minus baseline, by the summary in ``judged_by``; for ``improvement``, the share of pairs in which the arm is
    better."""
    low: Number
    """Lower end of its interval with level 1 - alpha, not corrected for the number of contrasts."""
    high: Number
    """Upper end."""
    p: Number
    """Its two-sided p-value from these pairs alone."""
    p_adjusted: Number
    """The p-value that is compared with alpha: Holm-adjusted over the planned contrasts."""
    p_equivalent: Number
    """The same for equivalence; null without a margin, without variation, or with fewer than three pairs."""
    margin: Number
    """Differences below this do not matter; null where the study states none."""
    verdict: Verdict
    """The answer."""
    reason: str
    """Why, in a clause."""
    doubt: Doubt
    """Why an answer of the tests does not stand: pairs stopped early, lost cells, seeds that do not look normal, or
    collapses that so few cells would not show. Empty where the verdict is that of the tests."""
    tests_say: Verdict
    """The answer of the tests alone."""
    advice: Advice | None
    """Null where the verdict is decided or in doubt, where fewer than five pairs show how much they vary, where another
    summary than the mean judges, or where there is neither a margin nor a mean difference to find."""
    detectable: Number
    """Smallest mean difference that these pairs find with 80 % power, if the standard deviation is as measured."""
    sentence: str
    """All of it as the report says it."""


class Together(Record):
    """An arm of a comparison against the baseline over all data sets together, corrected with the other arms."""

    arm: str
    """Its name in the study file."""
    baseline: str
    """That of the baseline."""
    n: int
    """Number of data sets with at least one pair."""
    difference: Number
    """Mean over data sets of the mean difference."""
    low: Number
    """Lower end of its interval with level 1 - alpha."""
    high: Number
    """Upper end."""
    p_adjusted: Number
    """Its Holm-adjusted p-value."""
    p_equivalent: Number
    """The same for equivalence."""
    verdict: Verdict
    """The answer."""
    reason: str
    """Why, in a clause."""


class Chosen(Record):
    """What a search chooses by one of its criteria. The seeds that chose flatter the choice, so it is no verdict."""

    criterion: str
    """A metric that the search optimises."""
    arm: str
    """The point, by its name in ``plan.csv``."""
    levels: dict[str, JsonValue]
    """Its settings, by dotted path below ``trial``; null where a condition leaves one out."""
    among: int
    """Number of finished points that it was chosen from."""
    difference: Number
    """Point minus baseline in the primary metric, on the seeds that also chose it; optimistic."""
    held_out_seeds: int
    """Number of seeds that judge what others chose; 0 with a single seed."""
    held_out_difference: Number
    """The difference in the primary metric where each part of the seeds judges what the other parts choose."""
    held_out_low: Number
    """Lower end of its interval; null with fewer than three seeds."""
    held_out_high: Number
    """Upper end."""
    chance: Number
    """How often the best of as many points would lead by as much on the criterion, if none differed from the
    baseline."""


class Decision(Record):
    """A contrast that a look decided."""

    label: str
    """The arm's name for readers."""
    verdict: Verdict
    """The answer then."""


class LookAtResults(Record):
    """A look at the results: what it could decide, and what it did."""

    seeds: int
    """Number of seeds of the arms that had the most."""
    spent: float
    """Share of alpha that it and the looks before it may spend together."""
    level: float
    """Two-sided level at which it tests a single contrast with as many pairs."""
    decided: tuple[Decision, ...]
    """The contrasts that it decided and no look before it."""
    open: tuple[str, ...]
    """Labels of the arms whose contrasts were still undecided."""


class HealthCheck(Record):
    """A health check that applies to the study."""

    name: str
    """What was checked, in a few words."""
    status: Status
    """FAIL: numbers of the study cannot be taken as they stand. WARN: they need care."""
    sentence: str
    """What was found."""
    next_step: str
    """What to do about it; empty if the check passed."""


class Expected(Record):
    """An expectation that the study file states of an arm (``expect``), held against its verdict."""

    arm: str
    """The arm, as the study file names it; over several data sets, without the data set for all together."""
    expected: tuple[str, ...]
    """The verdicts that were expected, any of which would do."""
    verdict: Verdict
    """The verdict that was found."""
    outcome: Outcome
    """``held``, ``not held``, or ``undecided`` where the verdict is."""


class Verdicts(Record):
    """The answer of a study for programs. Undefined numbers are null."""

    schema_version: int = Field(alias="schema")
    """Version of this format."""
    made_by: dict[str, str]
    """Versions of fgtune and of the libraries behind its numbers."""
    study: str
    """Name of the study."""
    study_hash: str | None
    """Hash of the study and its data, from ``provenance.json``; null without that file."""
    design: str
    """``sensitivity``, ``ablation``, ``comparison``, ``search``, ``variance`` or ``imported``."""
    question: str
    """The study's question."""
    answer: str
    """The answer in a sentence."""
    metric: str
    """The primary metric."""
    direction: Direction
    """Which way it is better."""
    judged_by: SummaryKind
    """The summary of the paired differences that decides."""
    alpha: float
    """Level of the planned contrasts, all together."""
    margin: Number
    """Equivalence margin against the (first) baseline, in the metric's unit; null where there is none."""
    seeds: tuple[int, ...]
    """The seeds of the plan."""
    cells: Cells
    """How the cells ended."""
    contrasts: tuple[Contrast, ...]
    """The planned contrasts, in the order of the plan. A search has none: its points depend on its results."""
    together: tuple[Together, ...]
    """Contrasts over all data sets of a comparison; empty with fewer than two data sets."""
    expected: tuple[Expected, ...]
    """What the study file expected of its arms; empty where it states nothing that can be judged."""
    chosen: tuple[Chosen, ...]
    """What a search chooses, by each of its criteria; empty for other designs."""
    parts: Parts | None
    """What the parts of an ablation are worth together; null where its arms do not show it, and for other designs."""
    profiles: Profiles | None
    """What the levels of each numeric factor of a sensitivity study say together; null where there are none."""
    variance: Variance | None
    """What the spread over seeds consists of; null for other designs than ``variance``."""
    looks: tuple[LookAtResults, ...]
    """Every look at the planned contrasts that the folder records, this being the last; empty without contrasts."""
    saved_cells: int
    """Cells that adaptive seeds have not needed so far; 0 where seeds are fixed."""
    warnings: tuple[str, ...]
    """What to know before believing the numbers."""
    checks: tuple[HealthCheck, ...]
    """What speaks for or against the numbers: what failed first, then what warns, then what passed."""

    def to_bytes(self) -> bytes:
        """The content of the file."""
        return (self.model_dump_json(indent=2, by_alias=True) + "\n").encode()

    def _repr_html_(self) -> str:
        """The answer, and each planned contrast with its verdict, as a notebook shows them."""
        answer = paragraph(self.answer, self.study)
        rows = [
            (
                each.label,
                f"{each.verdict.value}{' (in doubt)' if each.doubt else ''}",
                number(each.difference, sign=True),
                interval(_nan(each.low), _nan(each.high), sign=True),
                p_text(_nan(each.p_adjusted)),
                str(each.n),
            )
            for each in self.contrasts
        ]
        difference, level = f"difference in {metric_info(self.metric).title}", f"{100 * (1 - self.alpha):g} % interval"
        return answer + (small_table(("arm", "verdict", difference, level, "adjusted p", "n"), rows) if rows else "")


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def verdicts_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of ``verdicts.json``; every field is there."""
    schema = Verdicts.model_json_schema(mode="serialization")
    schema["properties"]["schema"]["const"] = SCHEMA_VERSION
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "fgtune verdicts"}
