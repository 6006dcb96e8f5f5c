"""``fgtune refit``: from a study to a model, trained on all training data, and the fine class of every sample.

The chosen arm is trained on the training and the validation samples of the seed's split, since nothing is selected
any more; test samples stay out, so that its test metrics mean what they mean in the study. In a transductive study all
samples are training samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fgtune import __version__
from fgtune.analysis.inputs import StudyData, read_study
from fgtune.analysis.search.joint_choice import JointChoice, joint_choices
from fgtune.catalog import AGREEMENT, COST, spec_of
from fgtune.config.arms.records import Cell, cell_id_of
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError, StudyFolderError, TrackingError
from fgtune.exporting.scale import UserForm
from fgtune.plugins import permitting
from fgtune.results.folder import StudyFolder
from fgtune.results.provenance import check_data
from fgtune.results.records import CellResult, CellState, best_by_mean
from fgtune.results.storage import FolderStorage
from fgtune.text import first_of
from fgtune.tuning.search.objectives import ArmMeasure, mean_values, measure_in, ranking_of, unmeasured

if TYPE_CHECKING:
    from fgtune.data.base import Dataset
    from fgtune.exporting.folder import ModelCard
    from fgtune.exporting.train import Trained
    from fgtune.tracking.pyfunc import ModelLog

BEST = "best"
"""Instead of an arm's name: the arm with the best mean."""
_LISTED = 12
_AS_STUDIED = UserForm()

Say = Callable[[str], None]
Together = Callable[[], Sequence[JointChoice]]
"""What agreement and the shared judge choose together on each data set; see ``joint_choices``."""


@dataclass(frozen=True)
class Choice:
    """The arm to train, its config, and a sentence on how it was chosen."""

    arm: str
    config: TrialConfig
    reason: str


def refit(
    root: Path,
    arm: str = BEST,
    seed: int | None = None,
    out: Path | None = None,
    *,
    force: bool = False,
    replace_other: bool = False,
    form: UserForm = _AS_STUDIED,
    tracking_uri: str | None = None,
    plugins: Sequence[str] = (),
    say: Say = print,
) -> Path:
    """Train an arm of a study and write its model folder.

    Args:
        root: The study folder.
        arm: Name of an arm, or ``best``.
        seed: Seed of split, initial weights and data order; None is the first seed of the study.
        out: The model folder; None is ``models/ARM-seedS`` in the study folder.
        force: Replace an existing model, and train even where it is this very model.
        replace_other: Replace an existing model only where it is another one or damaged.
        form: What was done to a user's data before the study read them; ``predict`` repeats it.
        tracking_uri: MLflow store; None uses the environment's, ``none`` turns tracking off.
        plugins: Packages that may be imported because the study names parts in them.
        say: Receives one line of progress at a time.

    Returns:
        The model folder. If it already holds this very model, nothing is trained.

    Raises:
        ConfigError: The study folder, the arm, the data, the model folder or the store is wrong; nothing was started.
        TrialError: Training failed.
    """
    from fgtune.exporting.folder import read_card
    from fgtune.exporting.train import check_target, scale_of_training
    from fgtune.tracking.pyfunc import open_model_log

    with permitting(plugins):
        folder = StudyFolder(root)
        data, results = _read(folder)
        choice = choose(data.study, results, arm, str(folder.root), measure_in(folder), partial(joint_choices, data))
        seed = data.study.seed_list[0] if seed is None else seed
        cell = Cell(choice.arm, seed, choice.config, {})
        dataset = _same_data(folder, choice.config)
        target = out or folder.root / "models" / f"{choice.arm}-seed{seed}"
        scale = form.scale or scale_of_training(choice.config, dataset, seed)
        key = (_cell_id(folder, cell), dataset.fingerprint, _trained_on(choice.config), __version__, scale)
        there = check_target(target, key, force=force, replace_other=replace_other)
        log = open_model_log(tracking_uri)
        for line in (choice.reason, *_unfinished(folder, results), *_notes(choice, results)):
            say(line)
        if there:
            card = read_card(target)
            say(f"{target} holds this model already; nothing is trained")
        else:
            card = _train(folder, data.study, choice, cell, dataset, target, form, say)
        if log is not None:
            _log_model(log, target, card, say)
    return target


def _log_model(log: ModelLog, target: Path, card: ModelCard, say: Say) -> None:
    """Log a model that lies safely in its folder already; a store that fails loses nothing."""
    try:
        say(f"MLflow: {log.log(target, card)} in {log.uri}")
    except TrackingError as error:
        say(f"warning: tracking failed, the model is in {target}: {error}")


# --- which arm -----------------------------------------------------------------------------------------------------


def _read(folder: StudyFolder) -> tuple[StudyData, list[CellResult]]:
    """What a folder holds, and its finished cells by arm."""
    if not folder.provenance_file.is_file():
        rule = "is no study folder" if folder.root.exists() else "no such study folder"
        raise StudyFolderError(rule, where=str(folder.root), fix="name a folder that `fgtune run` wrote, reports/NAME")
    data = read_study(folder)
    data.study.trial.check_runs_here(str(folder.root))
    fix = "call your function with the config of the arm, as results.jsonl has it, and keep its model yourself"
    data.study.trial.check_own_trainer(str(folder.root), "fgtune refit", fix)
    ended = [(cell.arm, data.results[cell.cell_id]) for cell in data.planned if cell.cell_id in data.results]
    return data, [replace(result, arm=arm) for arm, result in ended]  # two arms may share cells


def choose(
    study: Study,
    results: Sequence[CellResult],
    arm: str,
    where: str,
    measure: ArmMeasure = unmeasured,
    together: Together = tuple,
) -> Choice:
    """The arm that ``arm`` names, or the best one.

    The best arm has the best mean over its COMPLETE cells, of the metric of a search or else of the primary metric.
    Only arms with the largest number of complete cells are compared. In a search by agreement and the shared judge it
    is what they choose together.

    Args:
        study: The study.
        results: Its finished cells.
        arm: Name of an arm, or ``best``.
        where: The study folder, for messages.
        measure: For a search by a metric of an arm.
        together: For a search by agreement and the shared judge: what they choose together.

    Raises:
        ConfigError: No such arm, no complete cell, or no single best.
    """
    complete: dict[str, list[CellResult]] = {}
    for result in sorted(results, key=lambda each: each.seed):
        if result.state is CellState.COMPLETE:
            complete.setdefault(result.arm, []).append(result)
    if not complete:
        raise StudyFolderError("has no complete cell", where=where, fix="run it first, or see why its cells fail")
    if arm == BEST:
        arm, reason = _best(study, complete, measure, together)
    elif arm in complete:
        reason = f"arm {arm}, as asked for"
    else:
        states = sorted({result.state.value for result in results if result.arm == arm})
        rule = f"has no complete cell, only {', '.join(states)}" if states else "no such arm among the finished cells"
        raise ConfigError(
            rule, where=where, path="arm", value=arm, fix=f"choose among {first_of(sorted(complete), _LISTED)}"
        )
    cells = complete[arm]
    if len({result.config_hash for result in cells}) > 1:
        raise StudyFolderError(f"arm {arm} has cells of several configs", where=where, fix="choose another arm")
    try:
        return Choice(arm, TrialConfig.from_plain(dict(cells[0].config)), reason)
    except ValueError as error:
        rule, fix = f"arm {arm} has no config that this version of fgtune can run", "choose another arm"
        raise StudyFolderError(rule, where=where, fix=fix) from error


def _best(
    study: Study, complete: dict[str, list[CellResult]], measure: ArmMeasure, together: Together
) -> tuple[str, str]:
    """The arm with the best mean, and how it was found."""
    design, listed = study.design, first_of(sorted(complete), _LISTED)
    if len(design.baseline_arms) > 1:
        fix = f"name one of {listed} with --arm"
        raise ConfigError("no arm is best over several data sets", path="arm", value=BEST, fix=fix)
    objective, *others = ranking_of(study)
    if others:
        names = {each.name for each in (objective, *others)}
        joint = next((each for each in together() if {AGREEMENT, each.judge} == names), None)
        if joint is not None and joint.arm in complete:
            return joint.arm, f"arm {joint.arm}: {joint.sentence(1 - study.metrics.alpha).rstrip('.')}"
        rule = f"no arm is best by {' and '.join(each.name for each in (objective, *others))} at once"
        raise ConfigError(rule, path="arm", value=BEST, fix=f"name one of {listed} with --arm; the report compares")
    scores = {arm: (mean_values([objective], cells, measure)[0], len(cells)) for arm, cells in complete.items()}
    best = best_by_mean(scores, objective.mode)
    if best is None:
        rule, fix = f"no arm has the metric {objective.name}", f"name one of {listed}"
        raise ConfigError(rule, path="arm", value=BEST, fix=fix)
    mean, most = scores[best]
    rivals = sum(n == most and math.isfinite(each) for each, n in scores.values())
    oracle = not objective.name.startswith(COST) and spec_of(objective.name).oracle
    kind = "an oracle metric: it reads fine labels" if oracle else "a label-free metric"
    seeds = f"{most} seed{'s'[: most > 1]}"
    reason = f"arm {best}: best of {rivals} by the mean of {objective.name} over {seeds}, {mean:.4g} ({kind})"
    left_out = len(complete) - rivals
    return best, reason + (f"; {left_out} arms with fewer complete cells were left out" if left_out else "")


def _unfinished(folder: StudyFolder, results: Sequence[CellResult]) -> Iterator[str]:
    """How much of the study is unfinished."""
    planned = {row["cell_id"] for row in folder.read_plan()}
    missing = len(planned - {result.cell_id for result in results})
    if missing:
        yield f"note: {missing} of {len(planned)} planned cells have no result yet"


def _notes(choice: Choice, results: Sequence[CellResult]) -> Iterator[str]:
    """Whether this arm is trained with fine labels, and how its training differs from the study's."""
    config = choice.config
    fork = next((each.fork for each in results if each.arm == choice.arm and each.fork is not None), None)
    if fork is not None:
        yield f"note: in the study this arm went on from epoch {fork.epoch} of another; here it trains from the start"
    for weight in config.objective.oracle_weights:
        yield f"note: this arm is trained on fine labels (objective.{weight}); it shows what they are worth"
    if config.relations.mode == "oracle":
        yield "note: this arm is given the true relations (relations.mode: oracle)"


def _same_data(folder: StudyFolder, config: TrialConfig) -> Dataset:
    """The data of a trial, checked to be those that the study ran on."""
    from fgtune.data.load import load_dataset

    dataset = load_dataset(config.data)
    check_data(folder.read_provenance(), config.data, dataset.name, dataset.fingerprint, "run the study again")
    return dataset


# --- the model -----------------------------------------------------------------------------------------------------


def _train(
    folder: StudyFolder,
    study: Study,
    choice: Choice,
    cell: Cell,
    dataset: Dataset,
    target: Path,
    form: UserForm,
    say: Say,
) -> ModelCard:
    """Train the arm, write its folder, and report the outcome."""
    from fgtune.exporting.folder import load_model, write_model
    from fgtune.exporting.train import train_on_all, training_labels

    threads = max(1, int(study.execution.cpus))
    trained = train_on_all(cell.config.own(), dataset, cell.seed, threads, say, FolderStorage(folder.encoders_dir))
    if form.scale is not None:
        trained.model.inputs = trained.model.inputs.model_copy(update={"scale": form.scale})
    if form.coarse_names is not None:
        dataset = replace(dataset, coarse_names=(form.coarse_names,))
    card = _card(folder, study, choice, cell, dataset, trained)
    labels = training_labels(trained.model, dataset, trained.splits, card.coarse_names, threads)
    card = write_model(target, trained.model, card, labels)
    load_model(target)  # check that it can be read back
    for name in dict.fromkeys((study.metrics.primary, *study.metrics.also)):
        if name in card.metrics:
            oracle = " (oracle)" if spec_of(name).oracle else ""
            say(f"{name}: {card.metrics[name]:.4g}{oracle}")
    used, confidence = labels["fine_class"].nunique(), float(labels["confidence"].mean())
    say(f"{len(labels):,} samples in {used} of {card.num_fine} fine classes, mean confidence {confidence:.3f}")
    say(f"model: {target}")
    return card


def _card(
    folder: StudyFolder, study: Study, choice: Choice, cell: Cell, dataset: Dataset, trained: Trained
) -> ModelCard:
    from fgtune.exporting.folder import ModelCard

    return ModelCard(
        fgtune=__version__,
        study=study.study,
        study_hash=str(folder.read_provenance().get("study_hash", "")),
        arm=choice.arm,
        seed=cell.seed,
        cell_id=_cell_id(folder, cell),
        chosen_by=choice.reason,
        data=dataset.name,
        fingerprint=dataset.fingerprint,
        samples=len(dataset.inputs),
        trained_on=_trained_on(cell.config.own()),
        trained_samples=len(trained.splits.train),
        input=trained.model.inputs,
        weights=cell.config.own().evaluation.weights,
        num_fine=int(trained.model.fine_to_coarse.shape[1]),
        num_coarse=dataset.num_coarse,
        coarse_names=dataset.coarse_names,
        metrics=trained.metrics,
        seconds=trained.seconds,
        files={},
    )


def _cell_id(folder: StudyFolder, cell: Cell) -> str:
    """The id that the plan gives a cell, by the rule of the version that wrote it; a new one for another seed."""
    planned = {(row["arm"], row["seed"]): str(row["cell_id"]) for row in folder.read_plan()}
    return planned.get((cell.arm, cell.seed)) or cell_id_of(cell.config.identity(), cell.seed)


def _trained_on(config: TrialConfig) -> Literal["all samples", "training and validation samples"]:
    return "all samples" if config.data.split.transductive else "training and validation samples"
