"""How a report speaks of cells, by the kind of their trial: who ran them, what a seed shares, how to get more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fgtune.analysis.formatting import minute_text, number
from fgtune.analysis.inputs import StudyData
from fgtune.results.folder import IMPORTS
from fgtune.text import count


@dataclass(frozen=True)
class TrialWords:
    """The words of one kind of trial.

    Attributes:
        pairs: What all arms with the same seed have in common.
        missing: What cells are that have no result, after their number.
        rest: When what they may change is known.
        again: What to do about failed cells.
        stopped: What happened to cells that were stopped early.
        unstopped: What to do about cells that were stopped early.
        more: How to add seeds; ``{seeds}`` stands for their number.
        criteria: What a metric is called by which a reader could choose, besides the primary one.
        has_relations: Whether cells have relations, which the page explains.
    """

    pairs: str
    missing: str
    rest: str
    again: str
    stopped: str
    unstopped: str
    more: str
    criteria: str
    has_relations: bool

    def add_seeds(self, seeds: int) -> str:
        """How to get to a number of seeds."""
        return self.more.format(seeds=seeds)


_DISCOVERY = TrialWords(
    pairs="All arms with the same seed share split, initial weights and data order.",
    missing="not run yet or cut off",
    rest="when the rest has run",
    again="Read why in the table of failed cells, mend it, and run them again with --retry-failed.",
    stopped="a scheduler stopped some of their pairs for being bad",
    unstopped="Run the study without a scheduler for verdicts.",
    more="Add seeds: `fgtune extend DIR --seeds {seeds}`",
    criteria="label-free metric",
    has_relations=True,
)

WORDS: Mapping[str, TrialWords] = {
    "discovery": _DISCOVERY,
    "function": replace(
        _DISCOVERY,
        pairs="All arms with the same seed were given that seed; what it decides (split, initial values, order) is up "
        "to the function that was run, and pairs help where it is the same for all arms.",
        criteria="metric that the function reports",
        has_relations=False,
    ),
    "imported": TrialWords(
        pairs="The runs were made elsewhere, and those with the same seed are taken as a pair. That helps where a seed "
        "gives all arms the same split, initial values and data order; where it does not, pairs are no better than "
        "chance makes them, and the verdicts still hold.",
        missing="not in the table",
        rest="with the rest",
        again="Read why in the table of failed cells, run them again where they were made, and import all of them with "
        "another --out.",
        stopped="some of their pairs were stopped early, for being bad most likely",
        unstopped="Let every run go to its end for verdicts.",
        more="Make runs of every arm until there are {seeds} seeds, and import the table again",
        criteria="metric of the table",
        has_relations=False,
    ),
}
"""By ``trial_kind`` of the config."""


def words_of(data: StudyData) -> TrialWords:
    """The words for a study's kind of trial."""
    return WORDS[data.study.trial.trial_kind]


def import_facts(data: StudyData) -> tuple[tuple[str, str], ...]:
    """What was imported, each fact with its name; empty for a study that fgtune ran."""
    imports = data.provenance.get(IMPORTS, [])
    return tuple(_facts(data, imports)) if imports else ()


def _facts(data: StudyData, imports: list[Mapping[str, object]]) -> Iterator[tuple[str, str]]:
    counts, last = data.count(), imports[-1]
    seeds = len(data.study.seed_list)
    read = minute_text(str(last["at"]))
    yield "Table", f"{last['source']}, {last['rows']} rows, SHA-256 {str(last['sha256'])[:16]}…, read on {read}"
    if len(imports) > 1:
        yield "Imports", f"{len(imports)}; every earlier row is in the last table as it was"
    ended = counts.planned - counts.missing
    parts = [f"{counts.complete} complete", f"{counts.failed} failed", f"{counts.pruned} stopped early"]
    yield "Runs", f"{ended} ({', '.join(parts)}) of {count(len(data.arms), 'arm')} and {count(seeds, 'seed')}"
    if counts.missing:
        yield (
            "Not in the table",
            f"{counts.missing} of {counts.planned} pairs of arm and seed. They count as not run, which costs pairs and "
            "nothing else: a run that crashed belongs in the table, with the state FAIL.",
        )
    yield "Metrics", "; ".join(_metric_words(data, name) for name in data.study.trial.book.names)


def _metric_words(data: StudyData, name: str) -> str:
    info = data.info(name)
    if info.direction == "none":
        return f"{name} (no direction was given, so it is shown and not judged)"
    low, high = (number(end) if math.isinf(end) else f"{end:g}" for end in info.limits)
    bounded = "no range was given" if math.isinf(info.low) and math.isinf(info.high) else f"from {low} to {high}"
    return f"{name} ({info.direction}, {bounded})"
