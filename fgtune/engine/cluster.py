"""Before the first cell of a study on a cluster: every node is asked whether trials can run there, and what it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from fgtune.config.arms.plan import Plan
from fgtune.config.schema.domains import ChoiceDomain
from fgtune.config.schema.study import Study
from fgtune.engine.opening import OpenedStudy
from fgtune.errors import ConfigError
from fgtune.memory import bytes_text
from fgtune.results.folder import StudyFolder
from fgtune.results.storage_check import SETTING, Mark, marked

STUDY_FOLDER = "the study folder"


def storage_mark(plan: Plan) -> AbstractContextManager[Mark | None]:
    """A file in the storage of the study, by which other machines show that they see it; None where it has none.

    Raises:
        ConfigError: The storage cannot be used from here.
    """
    address = plan.study.execution.storage
    return nullcontext() if address is None else marked(address)


def meet_nodes(opened: OpenedStudy, folder: StudyFolder, mark: Mark | None, say: Callable[[str], None]) -> None:
    """Ask the nodes of the open session, and say what differs; nothing is asked where there is but one.

    Args:
        opened: The study.
        folder: Its folder, locked.
        mark: In its storage.
        say: Receives warnings.

    Raises:
        ConfigError: Trials cannot run on a node, or what they need cannot get there.
    """
    from fgtune.tuning.nodes import Question, check_nodes, data_name, meet, seen_here

    plan, execution = opened.plan, opened.plan.study.execution
    files = {data_name(key): _data_files(opened, key) for key in opened.datasets}
    files |= {STUDY_FOLDER: [folder.lock_file], **{path: [Path(path)] for path in weights_files(plan)}}
    reach, found = meet(Question(mark=mark, files=seen_here(files)), execution)
    for line in check_nodes(found):
        say(line)
    for key in opened.datasets:
        if data_name(key) in reach.unseen:
            _check_size(opened, key, reach.object_store)
    if STUDY_FOLDER in reach.unseen and execution.storage is None:
        _check_shared(plan, folder, say)


def _data_files(opened: OpenedStudy, key: str) -> list[Path]:
    from fgtune.data.travelling import files_of

    return files_of(opened.datasets[key])


def _check_size(opened: OpenedStudy, key: str, object_store: float) -> None:
    """Raise unless data that nodes do not see can be sent to them."""
    from fgtune.data.travelling import bytes_to_travel

    needed = bytes_to_travel(opened.datasets[key])
    if needed > 0.8 * object_store:
        rule = (
            f"nodes of the cluster do not see these files, and {bytes_text(needed)} do not fit into their object store"
        )
        fix = f"mount the files at the same path on all machines; an object store has {bytes_text(object_store)}"
        raise ConfigError(rule, path="trial.data", value=opened.datasets[key].name, fix=f"{fix}, see docs/cluster.md")


def _check_shared(plan: Plan, folder: StudyFolder, say: Callable[[str], None]) -> None:
    """Refuse a study whose cells hand states from machine to machine, where these share no folder; else warn."""
    if any(_hands_on_states(each) for each in (plan.study, *(own.plan.study for own in plan.arm_searches))):
        rule = f"must be given: trials go on from states of other machines, which do not see {folder.root}"
        raise ConfigError(rule, path=SETTING, fix="add --storage s3://BUCKET/PREFIX, or a folder that all machines see")
    say(
        f"warning: not all nodes of the cluster see {folder.root}: a cell that loses its node begins again; "
        "with --storage it goes on from its checkpoint"
    )


def _hands_on_states(study: Study) -> bool:
    """Whether cells fork from others, or wait for other seeds of their trial and go on somewhere else."""
    return study.stopping is not None and (study.scheduler.forks or len(study.seed_list) > 1)


def weights_files(plan: Plan) -> list[str]:
    """Files with initial weights that arms of a plan, or of searches inside it, name or may choose."""
    return sorted(dict.fromkeys(each for own in (plan, *(s.plan for s in plan.arm_searches)) for each in _weights(own)))


def _weights(plan: Plan) -> Iterator[str]:
    for arm in plan.arms:
        own = arm.config.discovery
        if own is not None and own.model.weights is not None:
            yield own.model.weights.path
    for name, domain in plan.study.design.domains.items():
        for value in domain.values if isinstance(domain, ChoiceDomain) else ():
            if name == "model.weights" and isinstance(value, dict) and "path" in value:
                yield str(value["path"])
            elif name == "model.weights.path":
                yield str(value)
