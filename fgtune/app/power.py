"""``fgtune power DIR``: what further seeds of a study would find, from its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from fgtune.analysis.formatting import plain_json
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder
from fgtune.text import count, first_of, print_line

if TYPE_CHECKING:
    from fgtune.analysis.verdicts.power import SeedAdvice
    from fgtune.analysis.verdicts.power_table import ContrastPower, PowerTable, Reach

_MOST_TABLES = 4
"""More contrasts are pooled into one table, with a line each."""


def read_power(root: Path) -> PowerTable:
    """The power of a study's planned contrasts; writes nothing.

    Raises:
        ConfigError: The folder holds no study, or a search, or no contrast has two pairs whose differences vary.
    """
    from fgtune.analysis.inputs import read_study
    from fgtune.analysis.verdicts.power_table import power_table

    folder = StudyFolder(root, lenient=True)
    folder.require_study()
    data = read_study(folder)
    if not data.study.design.plans_cells:
        fix = "compare the settings that it chose with the baseline in a study of their own, and ask there"
        raise ConfigError(
            "is a search: it has no planned contrasts, whose power could be computed", where=str(root), fix=fix
        )
    if not data.study.design.plans_contrasts:
        fix = "its report says how many seeds tell two spreads apart"
        raise ConfigError("plans no contrasts, whose power could be computed", where=str(root), fix=fix)
    table = power_table(data)
    if not table.rows:
        if table.contrasts == 0:
            rule, fix = "compares no arm with its baseline", "name a study with two arms or more"
        else:
            rule = "no arm has two pairs with the baseline yet whose differences vary"
            fix = "run two seeds or more of every arm first; `fgtune status` shows how far they are"
        raise ConfigError(rule, where=str(root), fix=fix)
    return table


def power_json(table: PowerTable) -> str:
    """The table as JSON; what is undefined is null."""
    return json.dumps(plain_json(asdict(table)), indent=2)


def print_power(table: PowerTable, console: Console) -> None:
    """Print a table for each contrast, or one for all of them and a line for each."""
    from fgtune.analysis.verdicts.power_table import POOLED

    say = partial(print_line, console)
    looks = f"{count(len(table.looks), 'look')} so far (n = {', '.join(map(str, table.looks))})"
    say(f"{table.study}: {table.metric}, {count(table.contrasts, 'planned contrast')}, alpha {table.alpha:g}, {looks}")
    shown = table.rows if table.pooled is None or len(table.rows) <= _MOST_TABLES else (table.pooled,)
    for row in shown:
        console.print(_table(row, table))
        say(_advice(row, table))
    if shown[0].arm == POOLED:
        for row in table.rows:
            say(f"{row.label}: standard deviation {row.sd:.3g} (n = {row.pairs}), {_advice(row, table)}")
    for line in _notes(table):
        say(line)


def _table(row: ContrastPower, table: PowerTable) -> Table:
    """What each number of pairs finds; ranges are from the standard deviation as measured to its upper limit."""
    title = (
        f"{row.label}: standard deviation of the differences {row.sd:.3g}, at most {row.sd_limit:.3g} (n = {row.pairs})"
    )
    shown = Table("pairs", "level", "finds a difference of", "shows equivalence within", "exact test", title=title)
    shown.title_justify = "left"
    for reach in row.reach:
        if reach.level == 0:
            why = "more than adaptive seeds give" if table.most is not None else "alpha is spent"
            shown.add_row(str(reach.pairs), "-", why, "-", "-")
            continue
        difference = f"{reach.difference:.3g} to {reach.difference_limit:.3g}"
        margin = f"±{reach.margin:.3g} to ±{reach.margin_limit:.3g}"
        shown.add_row(str(reach.pairs), f"{reach.level:.2g}", difference, margin, _exact(reach))
    return shown


def _exact(reach: Reach) -> str:
    return f"{'can' if reach.exact else 'cannot'} decide (p >= {reach.exact_p:.2g})"


def _advice(row: ContrastPower, table: PowerTable) -> str:
    """How many pairs would decide about the margin, or why that cannot be said."""
    from fgtune.analysis.verdicts.power import FEWEST_PILOT

    if row.finds is not None and row.shows is not None:
        found, shown = _pairs(row.finds), _pairs(row.shows)
        return f"the margin {row.margin:.3g}: {found} would find a difference of it, {shown} show equivalence within it"
    if row.margin is None and any(each.margin is not None for each in table.rows):
        return "no advice on pairs for all contrasts together: each has a margin of its own"
    if row.margin is None:
        return "no advice on pairs: the study states no margin"
    if row.pairs < FEWEST_PILOT:
        return f"no advice on pairs: {row.pairs} of them show too little of how much differences vary, five would do"
    return "no advice on pairs: alpha is spent, further seeds can find nothing new"


def _pairs(advice: SeedAdvice) -> str:
    from fgtune.analysis.verdicts.power import MOST_SEEDS

    low, high, more = advice.low, advice.high, f"more than {MOST_SEEDS}"
    if low is None:
        return f"{more} pairs"
    return f"{low} pairs" if low == high else f"{low} to {more if high is None else high} pairs"


def _notes(table: PowerTable) -> Iterator[str]:
    """How to read the table."""
    yield (
        "80 % power after Holm's correction. The first number of a range holds if the standard deviation is as "
        "measured, the second at its upper limit, which the true one exceeds in 20 % of studies (numbers of pairs: on "
        "average over what it may be)."
    )
    yield (
        f"Up to {count(table.looks[-1], 'pair')}: of another study like this one, looked at once. More: of this "
        "one, at the look that follows, with what the looks so far leave of alpha."
    )
    if table.judged_by != "mean":
        by = table.judged_by.replace("_", " ")
        yield f"Verdicts are by the {by}; the numbers are those of a t-test, which finds more where seeds are normal."
    if table.left_out:
        yield f"Left out, for want of two pairs whose differences vary: {first_of(table.left_out)}."
