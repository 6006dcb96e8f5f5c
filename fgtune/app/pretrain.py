"""``fgtune pretrain``: trains an encoder on the inputs of a study or of a file, and writes it for ``model.weights``."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.config.reading.load import LoadedStudy, load_source, load_study
from fgtune.config.reading.source import parse_yaml
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError
from fgtune.plugins import permitting
from fgtune.text import first_of

if TYPE_CHECKING:
    from fgtune.data.base import TrainingView

DEFAULT_OUT = Path("encoder.pt")
ARRAYS = (".npz", ".npy")
PROGRESS_EVERY_S = 2.0
_FILE = """\
study: pretraining
question: What is in the inputs?
design: {kind: sensitivity, factors: {epochs: [1]}, baseline: {epochs: 1}}
seeds: 1
trial: {data: {kind: arrays, path: inputs.npz}, classes: {num_fine: 1}}
"""
"""What stands for the study of a mere file of inputs, so that ``--set`` means the same."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Task:
    """What is to be trained: the trial, the samples, in words, and what to know of the file."""

    config: TrialConfig
    view: TrainingView
    samples: str
    note: str


def pretrain(
    source: Path,
    out: Path = DEFAULT_OUT,
    arm: str | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    *,
    all_samples: bool = False,
    force: bool = False,
    plugins: Sequence[str] = (),
    say: Say = print,
) -> Path:
    """Train an encoder and write it.

    Args:
        source: A study file, or inputs in ``.npz`` or ``.npy``.
        out: The file to write.
        arm: An arm of the study; None is its first arm with ``model.pretrain``, else its first arm whose backbone has
            parameters.
        seed: Seed of the split and of the training; None is the first seed of the study.
        overrides: Changes of the study file, as after ``--set``.
        all_samples: Train on all inputs instead of on the training split.
        force: Replace the file.
        plugins: Packages that may be imported because the study names parts in them.
        say: Receives one line of progress at a time.

    Returns:
        The file.

    Raises:
        ConfigError: Study, data or file is wrong; nothing was started.
        TrialError: The loss became non-finite.
    """
    from fgtune.exporting.train import check_writable
    from fgtune.training.pretraining.pretrain import pretrained_weights, settings_of
    from fgtune.training.pretraining.store import write_encoder
    from fgtune.training.threads import trial_threads

    if out.exists() and not force:
        raise ConfigError("is there already", where=str(out), fix="replace it with --force, or choose another --out")
    check_writable(out)
    with permitting(plugins):
        is_file = source.suffix.lower() in ARRAYS
        loaded = (
            load_source(parse_yaml(_FILE, ""), _FILE, source, overrides) if is_file else load_study(source, overrides)
        )
        seed = loaded.study.seed_list[0] if seed is None else seed
        task = _of_file(source, loaded) if is_file else _of_study(loaded, arm, seed, all_samples)
        settings = settings_of(task.config)
        backbone = task.config.model.backbone.kind
        say(f"{settings.kind}, {backbone}, {settings.epochs} epochs on {task.samples}")
        progress = _progress(settings.epochs, say)
        with trial_threads(max(1, int(loaded.study.execution.cpus))):
            write_encoder(
                out, pretrained_weights(task.config, task.view, task.config.streams.seeds(seed).weights, progress)
            )
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    say(f"encoder: {out} ({task.note})")
    say("in a study, in place of model.pretrain:")
    say(f"  weights: {{path: {out}, sha256: {digest}}}")
    return out


def _progress(epochs: int, say: Say) -> Callable[[int, float], None]:
    """Says how far the training is, every few seconds and at its end."""
    started = reported = time.monotonic()

    def progress(epoch: int, loss: float) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported >= PROGRESS_EVERY_S or epoch == epochs:
            reported = now
            left = (now - started) / epoch * (epochs - epoch)
            say(f"epoch {epoch}/{epochs}, loss {loss:.4g}, {now - started:.0f} s, {left:.0f} s left")

    return progress


def _of_study(loaded: LoadedStudy, arm: str | None, seed: int, all_samples: bool) -> _Task:
    """The training split of a study's seed, or all its samples."""
    import numpy as np

    from fgtune.config.arms.designs import draft_arms
    from fgtune.data.load import load_dataset
    from fgtune.data.preparation import as_prepared, fitted
    from fgtune.data.splits import split_dataset
    from fgtune.data.views import training_view
    from fgtune.training.input_checks import check_user_parts

    arms = {draft.name: draft.config.own() for draft in draft_arms(loaded).arms}
    if arm is not None and arm not in arms:
        fix = f"choose among {first_of(sorted(arms))}"
        raise ConfigError("no such arm in the study", where=str(loaded.path), path="arm", value=arm, fix=fix)
    # Arms that pretrain first, then those that could; what the backbone has is checked below.
    wanted = min(arms, key=lambda name: (arms[name].model.pretrain is None, _is_bare(arms[name])))
    config = arms[wanted if arm is None else arm]
    _check_trainable(config, loaded, [name for name, each in arms.items() if not _is_bare(each)])
    check_user_parts(config)
    dataset = load_dataset(config.data)
    splits = split_dataset(dataset, config.data.split, config.streams.seeds(seed).split)
    total = len(dataset.inputs)
    seen = np.arange(total) if all_samples else splits.train
    view = training_view(as_prepared(dataset, fitted(dataset, seen)), splits, None)
    if all_samples or len(view.train) == total:
        view = _whole(view, dataset.coarse)
        note = "it has seen the inputs of all samples, test samples too"
        return _Task(_completed(config, view), view, f"all {total:,} samples", note)
    note = f"it has seen the training samples of seed {seed} alone; to cells of other seeds some are test samples"
    if dataset.given_split is not None:
        note = "it has seen the training samples of the given split alone"
    samples = f"{len(view.train):,} of {total:,} samples, the training split of seed {seed}"
    return _Task(_completed(config, view), view, samples, note)


def _of_file(path: Path, loaded: LoadedStudy) -> _Task:
    """All samples of a file of inputs, read as data of kind ``arrays`` are; labels in it are left alone."""
    import numpy as np

    from fgtune.data.base import TrainingView
    from fgtune.data.readers.npz import read_npy, read_npz
    from fgtune.data.sets.arrays import real_inputs

    if path.suffix.lower() == ".npz":
        inputs = read_npz(path, ("inputs",), ("coarse", "fine", "fine_values", "split"))["inputs"]
    else:
        inputs = read_npy(path, "inputs")
    if inputs.ndim not in {2, 4} or len(inputs) < 2 or inputs.dtype.kind not in "buif":
        rule = (
            f"inputs must be (n, features) or (n, channels, height, width) numbers, got {inputs.dtype} {inputs.shape}"
        )
        raise ConfigError(rule, where=str(path), fix="write an array of this form, at least two samples")
    inputs = real_inputs(inputs, str(path))
    if not np.isfinite(inputs).all():
        raise ConfigError("inputs must be finite", where=str(path), fix="remove or fill these samples")
    rows, none = np.arange(len(inputs)), np.full((len(inputs), 1), -1)
    view = TrainingView(inputs, rows, rows[:0], none, none[:0], (1,), None)
    _check_trainable(loaded.study.trial.own(), loaded, [])
    images = {"model.backbone": {"kind": "small_cnn"}} if inputs.ndim == 4 and not _names_backbone(loaded) else {}
    config = _completed(loaded.study.trial.own(), view, images)
    if config.model.pretrain is not None and config.model.pretrain.coarse > 0:
        rule = "needs coarse labels, and of a mere file only the inputs are read"
        fix = "leave it out, or give a study file"
        raise ConfigError(rule, path="trial.model.pretrain.coarse", value=config.model.pretrain.coarse, fix=fix)
    return _Task(config, view, f"all {len(inputs):,} samples of {path}", "it has seen all samples of the file")


def _is_bare(config: TrialConfig) -> bool:
    """Whether the backbone has nothing to train."""
    return config.model.backbone.kind == "identity"


def _check_trainable(config: TrialConfig, loaded: LoadedStudy, others: Sequence[str]) -> None:
    """Raise unless the trial's backbone has parameters; ``others`` are the arms of the study that have one."""
    if _is_bare(config):
        rule = "has no parameters, so there is nothing to train"
        fix = f"name another arm with --arm: {first_of(others)}" if others else "choose another with --set"
        raise ConfigError(rule, where=str(loaded.path), path="trial.model.backbone.kind", value="identity", fix=fix)


def _names_backbone(loaded: LoadedStudy) -> bool:
    """Whether ``--set`` chose a backbone."""
    model = loaded.raw["trial"].get("model")
    return isinstance(model, dict) and "backbone" in model


def _whole(view: TrainingView, coarse: object) -> TrainingView:
    """The view of all samples as training samples."""
    from dataclasses import replace

    import numpy as np

    return replace(view, train=np.arange(len(view.inputs)), train_coarse=np.asarray(coarse))


def _completed(config: TrialConfig, view: TrainingView, parts: Mapping[str, object] | None = None) -> TrialConfig:
    """The trial with the parts that it leaves open chosen by what samples look like, and checked against them.

    Args:
        config: The trial.
        view: The samples.
        parts: What is changed besides, by dotted path.
    """
    from fgtune.config.reading.merge import patch
    from fgtune.training.input_checks import check_inputs

    shape = view.inputs.shape[1:]
    images = len(shape) == 3
    changes: dict[str, object] = {"model.weights": None, **(parts or {})}
    if config.model.pretrain is None:
        changes["model.pretrain"] = {"kind": "simsiam" if images else "denoising"}
    made = TrialConfig.from_plain(patch(config.to_plain(), changes, TrialConfig))
    check_inputs(made, shape)
    return made
