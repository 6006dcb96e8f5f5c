"""The check of what may keep cells from repeating bit for bit: several machines, other versions, threads, a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fgtune.analysis.checks.record import Check, Material, passed, warned
from fgtune.results.options import OPTIONS
from fgtune.text import first_of, listed

_RESOURCES = {"execution.cpus": "numbers of threads", "execution.gpus": "GPUs"}
"""What settings of a call give trials, by their path."""


def repeatable(material: Material) -> Check | None:
    """Whether all cells ran on one machine, with one set of versions, with as many threads, without a GPU."""
    data, name = material.data, "Repeatability"
    if not data.results or not data.study.trial.runs_here:
        return None
    causes = [*_causes(material)]
    if not causes:
        return passed(name, "one machine, one set of versions, no GPU: cells repeat bit for bit")
    text = (
        "Cells may not repeat bit for bit, and arms of one seed may differ in more than their settings: "
        f"{listed(causes)}."
    )
    return warned(name, text, "`fgtune verify DIR --rerun 3` trains cells again and says by how much they differ.")


def _causes(material: Material) -> Iterator[str]:
    data = material.data
    hosts = sorted({each.host for each in data.results.values() if each.host})
    if len(hosts) > 1:
        yield f"they ran on {len(hosts)} machines ({first_of(hosts, 3)})"
    calls = [data.provenance, *data.provenance.get("continued", [])]
    changed = [*_changed(calls)]
    if changed:
        yield f"versions changed between calls ({first_of(changed, 3)})"
    for path, what in _RESOURCES.items():
        if len({_override(call, path) for call in calls}) > 1:
            yield f"calls gave trials different {what} ({path})"
    devices = {str(each.config.get("device", "auto")) for each in data.results.values()}
    if data.study.execution.gpus > 0 or "cuda" in devices:
        yield "they may have run on a GPU, whose sums can come out in another order"


def _changed(calls: list[Mapping[str, Any]]) -> Iterator[str]:
    """``name before, after`` for every version that differs between calls."""
    known: dict[str, dict[str, None]] = {}
    for call in calls:
        versions = {"fgtune": call.get("fgtune"), "Python": call.get("python"), **(call.get("packages") or {})}
        for package, version in versions.items():
            if version is not None:
                known.setdefault(package, {})[str(version)] = None
    for package, found in known.items():
        if len(found) > 1:
            yield f"{package} {' and '.join(found)}"


def _override(call: Mapping[str, Any], path: str) -> str:
    """What the command line of a call sets a path to; empty if nothing."""
    overrides = map(str, (call.get(OPTIONS) or {}).get("overrides", []))
    return next((each for each in reversed([*overrides]) if each.startswith(f"{path}=")), "")
