"""The nodes of a cluster, asked before the first cell: versions, plugins, what they see; compared with the driver."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from fgtune import __version__
from fgtune.config.schema.study import ExecutionConfig
from fgtune.errors import ConfigError
from fgtune.plugins import Permit, permit_for_workers, permitting
from fgtune.results.storage_check import Mark
from fgtune.text import count, first_of, last_line
from fgtune.visible import masked, visible

MODULES = {
    "torch": "torch", "numpy": "numpy", "scipy": "scipy", "scikit-learn": "sklearn", "faiss-cpu": "faiss",
    "pydantic": "pydantic", "pyarrow": "pyarrow", "threadpoolctl": "threadpoolctl", "torchvision": "torchvision",
    "cvxpy": "cvxpy", "highspy": "highspy", "pyscipopt": "pyscipopt", "pandas": "pandas", "ray": "ray",
}  # fmt: skip
"""Packages that a trial may need, and what is imported of each."""
NEEDED = ("numpy", "pyarrow", "pydantic", "ray", "scikit-learn", "scipy", "threadpoolctl", "torch")
"""Those that every trial of fgtune's own trainer needs."""
STORAGE = "storage"
ANSWER_S = 90.0
"""How long a node may take to answer: on a busy one, the first worker takes tens of seconds to start."""
_SILENT = f"none within {ANSWER_S:g} s"
_HEAD = 1 << 16


@dataclass(frozen=True)
class Question:
    """What nodes are asked.

    Attributes:
        plugins: Packages that must be importable.
        mark: In the storage of the study; None without one.
        files: Files of the driver's machine by what they are, each with ``digest_of`` it.
    """

    plugins: Permit = field(default_factory=permit_for_workers)
    mark: Mark | None = None
    files: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a node says.

    Attributes:
        host: Its name.
        fgtune: Version.
        python: Version.
        machine: Processor architecture.
        packages: Versions of ``MODULES``; None for what is not installed.
        plugins: What is wrong with a package, by its name.
        storage: Why it cannot use the storage; None if it can.
        unseen: Which of the files it does not see, or sees otherwise.
    """

    host: str
    fgtune: str
    python: str
    machine: str
    packages: Mapping[str, str | None]
    plugins: Mapping[str, str]
    storage: str | None
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Where a node differs from the driver.

    Attributes:
        node: The node, for people.
        what: What differs.
        there: What the node has.
        here: What the driver has.
        is_fatal: Whether trials cannot run there.
    """

    node: str
    what: str
    there: str
    here: str
    is_fatal: bool


@dataclass(frozen=True)
class Reach:
    """What all nodes that run trials see.

    Attributes:
        nodes: How many there are.
        unseen: Files of the driver's machine that some node does not see, by what they are.
        object_store: Bytes of the smallest object store.
    """

    nodes: int = 1
    unseen: frozenset[str] = frozenset()
    object_store: float = math.inf


_latest = Reach()
"""Of the session that is open."""


def answer(question: Question) -> Answer:
    """What the machine of this process says."""
    return Answer(
        platform.node(),
        __version__,
        platform.python_version(),
        platform.machine(),
        {name: _version(name, module) for name, module in MODULES.items()},
        _faults_of_plugins(question.plugins),
        None if question.mark is None else question.mark.fault(),
        tuple(name for name, files in question.files.items() if any(digest_of(Path(p)) != d for p, d in files)),
    )


def digest_of(path: Path) -> str | None:
    """A digest of the beginning of a file and of its length; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(_HEAD))
        digest.update(str(path.stat().st_size).encode())
    except (OSError, ValueError):
        return None
    return digest.hexdigest()[:16]


def data_name(key: str) -> str:
    """What the files of a data set are called in a question."""
    return f"data {key}"


def seen_here(files: Mapping[str, Sequence[Path]]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Files of this machine as a question names them; those that cannot be read are left out."""
    known = {name: [(str(path.resolve()), digest_of(path)) for path in paths] for name, paths in files.items()}
    found = {name: tuple((path, each) for path, each in pairs if each is not None) for name, pairs in known.items()}
    return {name: pairs for name, pairs in found.items() if pairs}


def _version(name: str, module: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # under another name, such as faiss-gpu
        found = module in sys.modules or importlib.util.find_spec(module) is not None
        return "installed" if found else None


def _faults_of_plugins(permit: Permit) -> dict[str, str]:
    found = {}
    with permitting(permit.packages, permit.search_path):
        for name in permit.packages:
            try:
                importlib.import_module(name)
            except Exception as error:  # someone else's code: whatever stops it is reported
                found[name] = f"{type(error).__name__}: {error}"
    return found


def differences(node: str, there: Answer, here: Answer) -> list[Difference]:
    """Where a node differs from the driver, what is fatal first."""
    found = []

    def differ(what: str, theirs: object, ours: object, *, is_fatal: bool) -> None:
        if theirs != ours:
            found.append(Difference(node, what, str(theirs), str(ours), is_fatal))

    differ("fgtune", there.fgtune, here.fgtune, is_fatal=True)
    differ("Python", _minor(there.python), _minor(here.python), is_fatal=True)
    for name, problem in there.plugins.items():
        differ(f"plugin {name}", visible(masked(problem), 120), "can be imported", is_fatal=True)
    if there.storage is not None:
        differ(STORAGE, there.storage, "can be used", is_fatal=True)
    for name, ours in here.packages.items():
        theirs = there.packages.get(name)
        if theirs != ours and ours is not None:
            differ(name, theirs or "not installed", ours, is_fatal=theirs is None and name in NEEDED)
    if _minor(there.python) == _minor(here.python):
        differ("Python", there.python, here.python, is_fatal=False)
    differ("processor", there.machine, here.machine, is_fatal=False)
    return sorted(found, key=lambda each: not each.is_fatal)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def table_of(found: Sequence[Difference]) -> list[str]:
    """The differences as lines of text; nodes that differ alike share a line."""
    rows: dict[tuple[str, str, str, bool], list[str]] = {}
    for each in found:
        rows.setdefault((each.what, each.there, each.here, each.is_fatal), []).append(each.node)
    cells = [("nodes", "what", "there", "here", "")]
    for (what, there, here, is_fatal), nodes in rows.items():
        cells.append((first_of(nodes, 3), what, there, here, "trials cannot run there" if is_fatal else ""))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def reach() -> Reach:
    """What the nodes see, as they said when the session was opened."""
    return _latest


def meet(question: Question, execution: ExecutionConfig) -> tuple[Reach, list[Difference]]:
    """Ask every node that can run a trial, and remember the reach; nothing is asked where there is but one node.

    Args:
        question: What they are asked.
        execution: Resources of a trial; nodes without them are left out.
    """
    global _latest
    _latest, found = _asked(question, {"CPU": execution.cpus, "GPU": execution.gpus})
    return _latest, found


def _asked(question: Question, wanted: Mapping[str, float]) -> tuple[Reach, list[Difference]]:
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    nodes = [node for node in alive if all(node["Resources"].get(key, 0.0) >= n for key, n in wanted.items())]
    if len(alive) < 2:
        return Reach(len(alive)), []
    here, told = answer(question), _answers(question, nodes)
    still = {node["NodeID"] for node in ray.nodes() if node["Alive"]}  # spot machines go at any time
    found, unseen = [], set()
    for node in (each for each in nodes if each["NodeID"] in still):
        name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:6]})"
        there = told[node["NodeID"]]
        if isinstance(there, Answer):
            found += differences(name, there, here)
            unseen |= set(there.unseen)
        else:
            found.append(Difference(name, "answer", there, "", there != _SILENT))  # a busy node may only be slow
    stores = [node["Resources"].get("object_store_memory", math.inf) for node in nodes]
    return Reach(len(nodes), frozenset(unseen), min(stores, default=math.inf)), found


def _answers(question: Question, nodes: Sequence[Mapping[str, Any]]) -> dict[str, Answer | str]:
    """The answer of each node by its id; why there is none."""
    import ray
    from ray.exceptions import GetTimeoutError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=0)(answer)
    refs = {
        node["NodeID"]: ask.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
        ).remote(question)
        for node in nodes
    }
    ray.wait(list(refs.values()), num_returns=len(refs), timeout=ANSWER_S)
    told: dict[str, Answer | str] = {}
    for node_id, ref in refs.items():
        try:
            told[node_id] = ray.get(ref, timeout=0.1)
        except GetTimeoutError:
            told[node_id] = _SILENT
            ray.cancel(ref, force=True)
        except Exception as error:  # what a node without fgtune raises has no type in common
            told[node_id] = visible(masked(last_line(str(error)) or type(error).__name__), 160)
    return told


def check_nodes(found: Sequence[Difference]) -> list[str]:
    """Lines about nodes that differ in what may matter.

    Raises:
        ConfigError: Trials cannot run on some nodes.
    """
    if not found:
        return []
    lines = table_of(found)
    fatal = {each.node for each in found if each.is_fatal}
    if not fatal:
        return [
            "warning: nodes of the cluster differ from this machine; results may differ in their last digits:",
            *lines,
        ]
    rule = f"trials cannot run on {count(len(fatal), 'node')} of the cluster:\n" + "\n".join(lines)
    what = {each.what for each in found if each.is_fatal}
    fixes = ["set what the storage needs in the environment where ray start is called there"] if STORAGE in what else []
    fixes += ["install the same versions there"] if what - {STORAGE} else []
    raise NodesError(rule, fix=", ".join([*fixes, "or take these nodes out of the cluster"]))


class NodesError(ConfigError):
    """Nodes of the cluster cannot run trials (exit code 2)."""

    def __str__(self) -> str:
        head, *lines = self.rule.splitlines()
        return "\n".join(
            [f"--address: {head}", *(visible(masked(line)) for line in lines), f"Fix: {self.fix} (docs/cluster.md)"]
        )
