"""The registry of health checks, and all of them made for one study."""

from __future__ import annotations

from collections.abc import Callable

from fgtune.analysis.checks import cells, choosing, machines, seeds
from fgtune.analysis.checks.record import Check, Material, Status, warned

CHECKS: tuple[Callable[[Material], Check | None], ...] = (
    cells.lost,
    cells.stopped,
    seeds.collapsed,
    seeds.enough,
    seeds.looks,
    seeds.ends_of_range,
    cells.degenerate,
    cells.solver_proofs,
    cells.relations_moved,
    cells.epochs,
    choosing.budgets,
    choosing.edges,
    choosing.what_choices_read,
    choosing.agreeing_seeds,
    machines.repeatable,
)
"""A function a check, in the order of the page: its outcome, or None where it does not apply to the study."""

_ORDER = (Status.FAIL, Status.WARN, Status.PASS)


def health_checks(material: Material) -> tuple[Check, ...]:
    """Every check that applies: what failed first, then what warns, then what passed.

    Args:
        material: What the checks read.
    """
    made = [_made(check, material) for check in CHECKS]
    return tuple(sorted((check for check in made if check is not None), key=lambda each: _ORDER.index(each.status)))


def _made(check: Callable[[Material], Check | None], material: Material) -> Check | None:
    """The outcome of a check; one that cannot be made is named and spoils no report."""
    try:
        return check(material)
    except Exception as error:  # whatever a damaged or unforeseen folder makes it raise
        what = f"{type(error).__name__}: {error}"
        return warned(check.__name__.replace("_", " ").capitalize(), f"This check could not be made ({what}).",
                      "Run `fgtune verify` on the folder; if all agrees there, please report it.")  # fmt: skip
