"""What to know before the classes of a discovery are believed, in sentences that name a next step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fgtune.analysis.discovery.choosing import Candidate, MethodChoice, NumFineChoice
from fgtune.analysis.discovery.classes import FineClass
from fgtune.text import count, first_of, listed

FEW_SAMPLES = 10
"""A class with fewer is reported."""
LOW_COARSE_ACCURACY = 0.8
"""Below this share, inputs and coarse labels have little to do with each other."""


def num_fine_text(choice: NumFineChoice) -> str:
    """The number of fine classes with its interval, in a sentence."""
    if choice.by_judge:
        return (
            f"{choice.chosen} fine classes: single runs are best separated there; for two of each the time was short."
        )
    if not choice.levels:
        return f"{choice.chosen} fine classes, as given."
    if choice.missing:
        return f"{choice.chosen} fine classes: of {len(choice.levels)} numbers tried so far, runs agree most there."
    if len(choice.levels) == 1:
        return f"{choice.chosen} fine classes, the only number that was tried."
    if choice.low == choice.high:
        return f"{choice.chosen} fine classes: on the neighbouring numbers that were tried, runs agree less."
    around = f"on {choice.low} to {choice.high} they are not shown to agree less"
    return f"{choice.chosen} fine classes: there runs agree most; {around}."


def warnings_of(
    num_fine: NumFineChoice,
    method: MethodChoice,
    classes: Sequence[FineClass],
    runs: int,
    coarse_accuracy: float,
    failed: int,
) -> Iterator[str]:
    """Sentences, the most important first.

    Args:
        num_fine: The chosen number of classes.
        method: The chosen method.
        classes: The classes that have samples.
        runs: Number of other runs that classes were looked for in.
        coarse_accuracy: Share of held-out samples whose coarse label the model predicts; nan where not measured.
        failed: Number of failed cells.
    """
    chosen = next(each for each in method.candidates if each.arm == method.arm)
    if runs:
        yield from _easily_alike(chosen, method)
    yield from _not_found_again(classes, runs)
    yield from _number_in_doubt(num_fine)
    yield from _sizes(num_fine, classes)
    if coarse_accuracy < LOW_COARSE_ACCURACY:
        yield (
            f"On samples held out the model predicts only {coarse_accuracy:.0%} of the coarse labels: check that the "
            "labels are right and that the inputs have to do with them."
        )
    if failed:
        yield f"{count(failed, 'cell')} failed; their causes are in the reports of the two studies."
    if method.candidates and chosen.seeds < 3:
        yield f"The method has {count(chosen.seeds, 'complete seed')}; call discover again to run the rest."


def _not_found_again(classes: Sequence[FineClass], runs: int) -> Iterator[str]:
    """Classes that fewer than half of the other runs have."""
    lost = [each.name for each in classes if runs and 2 * each.found_again < runs]
    if 2 * len(lost) > len(classes):
        yield (
            f"Most classes ({len(lost)} of {len(classes)}) were not found again in most other runs: the data may hold "
            "no clear classes inside the coarse ones, or too few samples. Rely on none that was not found again."
        )
    elif lost:
        yield (
            f"{count(len(lost), 'class', 'classes')} of {len(classes)} {'was' if len(lost) == 1 else 'were'} not found "
            f"again in most other runs ({first_of(lost, 6)}): do not rely on "
            f"{'it' if len(lost) == 1 else 'them'} before somebody has looked at the samples."
        )


def _number_in_doubt(num_fine: NumFineChoice) -> Iterator[str]:
    """Why another number of classes may be the true one."""
    if num_fine.missing:
        yield (
            f"The time did not suffice to try {listed([*map(str, num_fine.missing)])} fine classes as often as the "
            "others; call discover again to finish them."
        )
    elif num_fine.edge:
        yield (
            f"The best number of fine classes, {num_fine.chosen}, is the {num_fine.edge} that was tried: the true "
            "number may lie beyond. Give a number with --num-fine, or add levels to num_fine.yaml."
        )
    elif num_fine.high > 1.5 * num_fine.low:
        yield (
            f"Any number of fine classes from {num_fine.low} to {num_fine.high} agrees with the runs: read close "
            "classes as one, and give the number with --num-fine where you know it."
        )


def _sizes(num_fine: NumFineChoice, classes: Sequence[FineClass]) -> Iterator[str]:
    """Coarse classes that are not divided, and fine ones without or nearly without samples."""
    parents = [each.parent for each in classes]
    whole = [each for each in dict.fromkeys(parents) if parents.count(each) == 1]
    if whole:
        yield (
            f"{count(len(whole), 'coarse class is', 'coarse classes are')} not divided ({first_of(whole, 6)}): with "
            f"{num_fine.chosen} classes in all, {'it is one' if len(whole) == 1 else 'they are one each'}. Agreement "
            "between runs gives no credit for what is not divided."
        )
    if len(classes) < num_fine.chosen:
        empty = num_fine.chosen - len(classes)
        yield f"{count(empty, 'class', 'classes')} of {num_fine.chosen} got no sample."
    small = [each.name for each in classes if each.size < FEW_SAMPLES]
    if small:
        yield f"Fewer than {FEW_SAMPLES} samples: {first_of(small, 6)}. They may be single odd samples."


def _easily_alike(chosen: Candidate, method: MethodChoice) -> Iterator[str]:
    """That runs which hardly differ are no evidence."""
    if chosen.identical:
        yield (
            "All runs of the chosen method found exactly the same classes, so agreement and being found again say "
            "nothing of what the classes are worth: look at their samples before you rely on them."
        )
    elif not chosen.trained:
        rival = next((each.title for each in method.candidates if each.trained), "")
        compare = f", and at how {rival} does in the table of methods" if rival else ""
        yield (
            "The chosen method is a clustering of the inputs as they are. Its runs differ little, whatever the classes "
            "are worth, so that they agree and find classes again is weak evidence, and the shared silhouette, which "
            f"is measured in the same inputs, favours it too: look at the samples of each class{compare}."
        )
