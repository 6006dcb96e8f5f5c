"""What a study was about, in facts for the first screen: its data, and the method that its baseline is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fgtune.analysis.inputs import StudyData
from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.results.folder import SHAPES
from fgtune.text import count, first_of

_MOST_DATA = 3
_RELATIVE = ("classes.num_fine_ratio", "K_F is the number of fine classes that a trial is given, K_F* the true one.")


def subject_facts(data: StudyData) -> tuple[tuple[str, str], ...]:
    """The facts, each with its name; none of the data where an earlier version began the folder.

    Args:
        data: The study. Runs from elsewhere have no such facts.
    """
    own, trial = data.study.trial.discovery, data.study.trial
    if isinstance(trial, FunctionTrialConfig):
        return (("trainer", trial.call), ("epochs", f"{trial.epochs}, as it reports them"))
    if own is None:
        return ()
    shown = data_facts(data)
    facts = [("data", first_of(shown, _MOST_DATA))] if shown else []
    return (*facts, ("method" if len(data.arms) == 1 else "method of the baseline", _method(own)))


def data_facts(data: StudyData) -> list[str]:
    """A text about each data set in the order of the plan: its size and classes; empty where none is recorded."""
    return [_data_text(shape) for shape in data.provenance.get(SHAPES, {}).values()]


def symbols(data: StudyData) -> str:
    """What the symbols of the page mean; empty where it has none that needs a word."""
    path, meaning = _RELATIVE
    return meaning if path in data.factors else ""


def _data_text(shape: Mapping[str, Any]) -> str:
    """``digits: 1,797 samples, 2 coarse -> 10 fine classes``."""
    samples = "" if shape["samples"] is None else f"{shape['samples']:,} samples, "
    coarse = " + ".join(str(number) for number in shape["coarse"])
    if shape["fine"] is None:
        return f"{shape['name']}: {samples}{coarse} coarse classes, no fine labels"
    return f"{shape['name']}: {samples}{coarse} coarse → {count(shape['fine'], 'fine class', 'fine classes')}"


def _method(own: TrialConfig) -> str:
    preset = own.objective.preset
    name = f"{own.clustering.kind} clusters" if preset == "untrained" else preset
    return ", ".join([name, own.model.backbone.kind, count(own.epochs, "epoch")])
