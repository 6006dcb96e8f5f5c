"""The provenance of results: versions, code state, machine, command, data; no secrets, no environment variables."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from fgtune import __version__
from fgtune.config.arms.plan import Plan
from fgtune.config.schema.base import data_key
from fgtune.config.schema.data import DataConfig
from fgtune.errors import ConfigError
from fgtune.plugins import origins as plugin_origins
from fgtune.results.folder import SHAPES
from fgtune.results.options import TRACKING, RunOptions, is_own_call

PACKAGES = (
    "ray", "torch", "torchvision", "optuna", "mlflow", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow",
    "faiss-cpu", "cvxpy", "highspy", "pyscipopt", "plotly", "jinja2", "pydantic", "ruamel.yaml", "typer", "rich",
)  # fmt: skip
"""Packages whose versions may change a number, a figure or the way a study is read."""

_GIT_TIMEOUT_S = 10.0


def collect_provenance(plan: Plan, options: RunOptions, tracking: str | None = None) -> dict[str, Any]:
    """What a reader needs to know to repeat the study, as plain data.

    Args:
        plan: The study's plan.
        options: The options of the call; passwords in URLs are masked.
        tracking: Where the call tracks the study, without passwords; None if it is not known.
    """
    return {
        "study": plan.study.study,
        "study_hash": plan.study_hash,
        "data": {key: shape.fingerprint for key, shape in sorted(plan.shapes.items())},
        SHAPES: _shapes(plan),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **options.record(plan.study.execution.storage, tracking),
        "fgtune": __version__,
        "git": git_state(Path.cwd()),
        "python": platform.python_version(),
        "packages": package_versions(),
        "plugins": plugin_origins(),
        "host": host_facts(),
    }


def _shapes(plan: Plan) -> dict[str, Any]:
    """What each data set is called, and how large it is."""
    own = [arm.config.discovery for arm in plan.arms]
    configs = {data_key(trial.data): trial.data.to_plain() for trial in own if trial is not None}
    return {
        key: {
            "name": _data_name(configs[key]),
            "samples": shape.num_samples,
            "coarse": list(shape.num_coarse),
            "fine": shape.num_fine,
        }
        for key, shape in ((key, plan.shapes[key]) for key in configs if key in plan.shapes)
    }


def _data_name(config: Mapping[str, Any]) -> str:
    """The kind of a data set, with the last part of its path where it has one."""
    path = config.get("path")
    return str(config["kind"]) + (f" ({Path(str(path)).name})" if path else "")


def tracked_in(record: Mapping[str, Any]) -> str | None:
    """The store of the latest call that tracked the study, without passwords.

    None where an earlier version ran it, which did not say. ``none`` if every call that says so tracked nothing.
    """
    recorded = [str(call[TRACKING]) for call in (record, *record.get("continued", [])) if TRACKING in call]
    return next((uri for uri in reversed(recorded) if uri != "none"), recorded[-1] if recorded else None)


def tracked_by_own_call(record: Mapping[str, Any], uri: str) -> bool:
    """Whether this user tracked the study in a store; else a folder from elsewhere may only say so."""
    calls = (record, *record.get("continued", []), *record.get("extended", []))
    return any(each.get(TRACKING) == uri and is_own_call(each) for each in calls)


def check_data(record: Mapping[str, Any], config: DataConfig, name: str, fingerprint: str, fix: str) -> None:
    """Raise unless data are those that a study ran on.

    Args:
        record: The study's provenance; one that does not know the data says nothing against them.
        config: The config of the data.
        name: What the data set is called.
        fingerprint: Of the data as they are now.
        fix: What else to do than to restore them.

    Raises:
        ConfigError: They have changed.
    """
    known = record.get("data", {}).get(data_key(config))
    if known is not None and known != fingerprint:
        rule = f"the data have changed since the study ran (fingerprint {known} then, {fingerprint} now)"
        raise ConfigError(rule, where=name, fix=f"restore the data, or {fix}")


def host_facts() -> dict[str, Any]:
    """The machine: name, system, processor cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"name": platform.node(), "system": platform.platform(), "machine": platform.machine(), "cpus": cores}


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit of the repository around ``folder`` and a digest of what differs from it; None outside a repository.

    Returns:
        ``commit``, ``dirty`` (tracked files changed), ``diff_hash`` (of ``git diff HEAD``; None when clean) and
        ``untracked`` (number of files that git neither tracks nor ignores).
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    difference = _git(folder, "diff", "HEAD", "--no-ext-diff", "--binary") or b""
    untracked = _git(folder, "ls-files", "--others", "--exclude-standard", "--full-name", ":/") or b""
    return {
        "commit": commit.decode().strip(),
        "dirty": bool(difference),
        "diff_hash": hashlib.sha256(difference).hexdigest()[:16] if difference else None,
        "untracked": len(untracked.splitlines()),
    }


def _git(folder: Path, *arguments: str) -> bytes | None:
    """The output of a git command, or None where it fails or git is absent."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, timeout=_GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def package_versions() -> dict[str, str | None]:
    """The installed version of each package, None for those not installed."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions
