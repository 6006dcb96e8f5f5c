"""The study: its file against the resolved one and the copy in the provenance, its hash, its data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from fgtune import __version__
from fgtune.app.verification.findings import Finding, Subject, agree
from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape, study_hash_of
from fgtune.config.reading.load import SPACE, load_source, override_path, reloaded, smoke_limits
from fgtune.config.reading.source import Source, parse_yaml
from fgtune.config.schema.base import HASH_SCHEME, data_key
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.study import without_fine_labels
from fgtune.errors import ConfigError
from fgtune.files import read_text
from fgtune.results.folder import ARM_SEARCH, GIVEN
from fgtune.results.options import OPTIONS, last_call
from fgtune.results.rebuilding import MOST_TABLE
from fgtune.results.texts import differences
from fgtune.text import first_line, first_of

if TYPE_CHECKING:
    from fgtune.data.base import Dataset

_LISTED = 4


def check_study(subject: Subject) -> Iterator[Finding]:
    """The hash of the study, the study file and its copies."""
    folder, record, study = subject.folder, subject.record, subject.data.study
    name, resolved = subject.name(folder.provenance_file), subject.name(folder.resolved_file)
    if not record:
        return
    stated = record.get("study_hash")
    yield agree(record.get("study") == study.study, f"{name}: is of the study {record.get('study')!r}, not this one")
    head = read_text(folder.resolved_file, MOST_TABLE).partition("\n")[0]
    yield agree(head.endswith(f" {stated}"), f"{resolved}: its first line does not state the study hash {stated}")
    if subject.scheme == HASH_SCHEME and record.get("data"):
        hashed = study_hash_of(study, record["data"].values())
        yield agree(hashed == stated, f"{name}: the study hash is {stated}, study and data give {hashed}")
    yield from _extensions(record, name)
    if GIVEN in record and subject.scheme == HASH_SCHEME:
        yield from _given(subject, record)
    else:
        yield Finding(0, note=f"{name}: an earlier version wrote it, so the study cannot be planned once more")


def _extensions(record: Mapping[str, Any], name: str) -> Iterator[Finding]:
    """Every addition of seeds starts from the study that the one before made."""
    hashes = [(each["from"]["study_hash"], each["to"]["study_hash"]) for each in record.get("extended", [])]
    ends = [start for start, _ in hashes[1:]] + [record.get("study_hash")]
    for (_, made), following in zip(hashes, ends, strict=False):
        yield agree(made == following, f"{name}: seeds were added to make {made}, then comes {following}")


def _given(subject: Subject, record: Mapping[str, Any]) -> Iterator[Finding]:
    """The copy in the provenance is the resolved study, and the study file with the options of the last call."""
    folder = subject.folder
    where, given = subject.name(folder.provenance_file), _extended(subject, record)
    loaded = reloaded(given, "", folder.provenance_file)
    study, resolved = loaded.study, subject.data.study
    blind = without_fine_labels(study, given)
    study = blind if resolved.metrics == blind.metrics else study
    found = list(differences(study.to_plain(), resolved.to_plain()))
    what = f"{subject.name(folder.resolved_file)}: differs from the study in {where} in {first_of(found, _LISTED)}"
    yield agree(not found, what)
    last = last_call(record)
    options = last.options
    if not loaded.study.trial.runs_here:
        source = parse_yaml(read_text(folder.study_file), subject.name(folder.study_file))
        found = list(differences(given, dict(source.data)))
        yield agree(not found, f"{subject.name(folder.study_file)}: differs in {first_of(found, _LISTED)}")
        return
    if options is not None:
        same = options.stored_command() == list(last.command)
        yield agree(same, f"{where}: the options of the last call do not give its command")
    elif OPTIONS in record and record.get("fgtune") == __version__:
        yield Finding(1, f"{where}: the options of the last call cannot be read")
    if options is None and ARM_SEARCH not in record:
        yield Finding(0, note=f"{where}: does not say with which options the study was run")
        return
    source = parse_yaml(read_text(folder.study_file), subject.name(folder.study_file))
    if ARM_SEARCH in record or options is None:  # the file was made from the comparison, with its options applied
        again = _seeded(source.data, given, record)
    else:
        source = Source(_with_spaces(source.data, given), source.origins)
        overrides = _spelled_out(options.overrides, given)
        smoke = options.smoke

        def shrunk(limit: int) -> dict[str, Any]:
            return _seeded(load_source(source, "", folder.study_file, overrides, smoke, limit).raw, given, record)

        tries = map(shrunk, smoke_limits(smoke))  # how many samples its data needed is not recorded
        usual = next(tries)
        again = next((each for each in chain([usual], tries) if not any(differences(given, each))), usual)
    found = list(differences(given, again))
    what = f"{subject.name(folder.study_file)}: differs from the study in {where} in {first_of(found, _LISTED)}"
    yield agree(not found, what)


def _extended(subject: Subject, record: Mapping[str, Any]) -> dict[str, Any]:
    """The study as given, with the seeds that were added to it."""
    given = dict(record[GIVEN])
    return given | {"seeds": subject.data.study.to_plain()["seeds"]} if record.get("extended") else given


def _with_spaces(source: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A study file with the spaces of the study as given, since the files that it names lie elsewhere."""
    design, known = source.get("design"), given.get("design")
    if not isinstance(design, dict) or not isinstance(known, dict):
        return dict(source)
    design = dict(design)
    if "space" in design and "space" in known:
        design["space"] = known["space"]
    arms, others = design.get("arms"), known.get("arms")
    if isinstance(arms, list) and isinstance(others, list) and len(arms) == len(others):
        design["arms"] = [
            {**arm, "space": other["space"]} if isinstance(arm, dict) and "space" in arm and "space" in other else arm
            for arm, other in zip(arms, others, strict=True)
        ]
    return {**source, "design": design}


def _seeded(again: Mapping[str, Any], given: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """A study with the seeds as given where some were added."""
    return {**again, "seeds": given.get("seeds")} if record.get("extended") else dict(again)


def _spelled_out(overrides: Sequence[str], given: Mapping[str, Any]) -> list[str]:
    """The overrides with the space of the study as given in place of a file that one of them names."""
    space = json.dumps(given.get("design", {}).get("space"), ensure_ascii=False)
    return [f"{SPACE}={space}" if override_path(each) == SPACE else each for each in overrides]


def replan(subject: Subject, datasets: dict[str, Any]) -> tuple[Plan | None, list[Finding]]:
    """The study planned once more, from the study as given and its data.

    Args:
        subject: The study.
        datasets: Data sets that have been read, by ``dataset_key``; further ones are added.

    Returns:
        The plan, None where study or data cannot be read here; and what was found on the way.
    """
    record, folder = subject.record, subject.folder
    if GIVEN not in record or subject.scheme != HASH_SCHEME or ARM_SEARCH in record:
        return None, []
    where, findings = subject.name(folder.provenance_file), list[Finding]()
    loaded = reloaded(_extended(subject, record), "", folder.provenance_file)
    try:
        plan = expand(loaded, lambda config: _shape(config, datasets))
    except ConfigError as error:
        what = "the data cannot be read here, so their fingerprint and the plan are not made once more"
        return None, [Finding(0, note=f"{what}: {first_line(error)}")]
    for key, shape in sorted(plan.shapes.items()):
        stated = record.get("data", {}).get(key)
        rule = f"{where}: the data had the fingerprint {stated}, now they have {shape.fingerprint}"
        findings.append(agree(stated == shape.fingerprint, rule))
    return plan, findings


def _shape(config: DataConfig, datasets: dict[str, Any]) -> DataShape:
    from fgtune.data.views import describe

    return describe(dataset_of(config, datasets))


def dataset_of(config: DataConfig, datasets: dict[str, Any]) -> Dataset:
    """The data set of a config: from ``datasets``, by ``dataset_key``, or else loaded and added to them."""
    from fgtune.data.load import load_dataset

    key = data_key(config)
    if key not in datasets:
        datasets[key] = load_dataset(config)
    dataset: Dataset = datasets[key]
    return dataset
