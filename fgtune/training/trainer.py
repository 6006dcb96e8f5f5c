"""The trainer: an iterator that yields the metrics of one epoch after another.

It has a ``TrainingView`` (no fine labels) and an ``Evaluator`` that returns metrics, and builds only what the chosen
terms need. Every random draw comes from a stream named by purpose and epoch, so a restart from a checkpoint repeats an
uninterrupted run exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.clustering import ScanClusteringConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import TrainingView
from fgtune.errors import TrialError
from fgtune.objectives.base import StepOutputs, provided
from fgtune.objectives.objective import soft_epochs, softness
from fgtune.results.records import (
    SPLIT_BITS,
    AttentionRecord,
    EpochMetrics,
    TrialOutcome,
)
from fgtune.streams import derive_seed, torch_stream
from fgtune.training.clustering.class_models import ClassModels
from fgtune.training.compute import log_of, training_inputs
from fgtune.training.evaluator import Evaluator
from fgtune.training.final_metrics import at_best_validation
from fgtune.training.networks import Networks
from fgtune.training.optimization import build_optimizer, learning_rate, num_batches
from fgtune.training.prediction_cache import PredictionCache
from fgtune.training.step_graph import Given, StepGraphs
from fgtune.training.warm_start import FineStart

CHECKPOINT_VERSION = 2
STREAMS = ("x0", "x1", "draw", "term", "shuffle")
"""Draws of a step: both views, neighbours, those of terms, the order in which keys are made."""


class Trainer:
    """Train one cell; iterate for ``EpochMetrics``, then call ``outcome``.

    Args:
        config: Resolved: ``classes.num_fine`` is a number.
        view: What training may see.
        evaluator: Computes metrics; holds the fine labels.
        seed: The block, which determines initial weights, data order, noise and neighbour draws where
            ``config.streams`` does not.
        truth: (sources, K_F) true relations, passed only if ``relations.mode`` is ``oracle``.
        fine: (n_train,) fine labels, passed only if the objective explicitly asks for them (``lambda_fine``).
        threads: Threads of the neighbour search.
        initial: The backbone's pretrained state dict; None if it starts as the config says.

    Raises:
        TrialError: A loss became non-finite, or the config asks for something that is missing.
    """

    def __init__(
        self,
        config: TrialConfig,
        view: TrainingView,
        evaluator: Evaluator,
        seed: int,
        truth: IntArray | None = None,
        fine: IntArray | None = None,
        threads: int = 1,
        initial: Mapping[str, Tensor] | None = None,
    ) -> None:
        num_fine = config.classes.number
        if num_fine is None:
            raise ValueError(f"the trial config must be resolved: classes.num_fine is {config.classes.num_fine}")
        self.config, self.view, self.evaluator = config, view, evaluator
        seeds = config.streams.seeds(seed)
        self.seed = seeds.order
        self.networks = Networks(config, view, num_fine, seed, threads, initial)
        self.compute = self.networks.compute
        self.objective = self.networks.objective
        self.soft_epochs = soft_epochs(config.objective.pseudo_labels, config.epochs)
        if config.relations.mode == "oracle" and not self.networks.has_fine_head:
            raise TrialError("relations.mode: oracle needs an objective with a fine head")
        self.inputs = training_inputs(view.inputs, view.train, self.compute)
        self.coarse = self.compute.to_device(view.train_coarse)
        self.fine = None if fine is None else self.compute.to_device(fine)
        self.optimizer = build_optimizer(config.optimizer, self.networks.trained())
        self._streams = {name: torch.Generator(self.compute.device) for name in STREAMS}
        self.graphs = StepGraphs(self.compute.device) if config.cuda_graph else None

        def of_class(config: TrialConfig, view: TrainingView) -> Trainer:
            return Trainer(config, view, evaluator, seed, threads=threads, initial=initial)

        def class_models(groups: IntArray, sizes: Sequence[int]) -> ClassModels:
            return ClassModels(config, view, groups, sizes, of_class, threads)

        if isinstance(config.clustering, ScanClusteringConfig) and not self.networks.has_fine_head:
            self.networks.train_class_models(class_models)
        self.start = FineStart(
            config,
            view,
            num_fine,
            seeds.weights,
            self.compute.device,
            truth,
            has_fine_head=self.networks.has_fine_head,
            initial=lambda: self.networks.features(self.networks.model, view.train),
            class_models=class_models,
        )
        self.relations = self.start.relations
        self.measure_every = config.evaluation.period(config.epochs)
        """Evaluation is due every so many epochs; it changes nothing of the training."""
        self.history: list[EpochMetrics] = []
        self.step = 0
        self._clustered_epoch = 0  # epoch whose features the clusters were found in
        self._final: TrialOutcome | None = None  # what is found at the end, without curve and cost

    # --- iteration ---------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[EpochMetrics]:
        return self

    def __next__(self) -> EpochMetrics:
        """Train one epoch, evaluate if it is due, and return the metrics."""
        if self.epoch >= self.config.epochs:
            raise StopIteration
        started = time.perf_counter()
        self._final = None
        epoch = self.epoch + 1
        metrics = self.train_epoch(epoch) if self.objective.weights else {}
        if self.networks.class_models is not None:
            self.networks.class_models.train_to(epoch)
        last = epoch == self.config.epochs
        if epoch % self.measure_every == 0 or last:
            metrics |= self._evaluate(epoch, last)
        result = EpochMetrics(epoch, self.step, metrics, time.perf_counter() - started)
        self.history.append(result)
        return result

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def outcome(self) -> TrialOutcome:
        """The result of the finished trial: the curve, relations and predictions at its end, the cost of the solver."""
        if self._final is None:  # restored from a checkpoint and not evaluated since
            cache = self._cache((self.evaluator.reported_split,), last=True)
            self._find_classes(self.epoch, cache, last=True)
            self._final = self._end(cache, self._attention())
        seconds = sum(entry.seconds for entry in self.history)
        return replace(self._final, history=tuple(self.history), solver=self.relations.use(), seconds=seconds)

    def _end(self, cache: PredictionCache, attention: AttentionRecord | None) -> TrialOutcome:
        """Everything that is recorded of the trial's end."""
        evaluator, parents = self.evaluator, self.relations.fine_to_coarse
        split = evaluator.reported_split
        reported = cache.predict(evaluator.rows(split))
        return TrialOutcome(
            (),
            evaluator.record(split, reported, parents),
            None,
            0.0,
            attention,
            evaluator.predictions_record(cache.parts, parents),
            evaluator.portrait(split, reported, parents),
        )

    def _attention(self) -> AttentionRecord | None:
        rows = self.evaluator.attention_rows
        if not len(rows):
            return None
        inputs = np.asarray(self.view.inputs[rows])
        return AttentionRecord(rows, self.networks.attention(inputs), inputs)

    def fine_probs(self, rows: IntArray) -> Float32Array:
        """(n, K_F) what the fine head says of rows (n,) of the data set, with the weights that are evaluated."""
        return self.networks.predict(self.networks.evaluated, rows).probs

    # --- training ----------------------------------------------------------------------------------------------

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train ``epoch`` (1-based, in order), evaluate nothing, and return the mean losses."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config.schedule, config.optimizer.lr, epoch, config.epochs)
        if epoch == self.start.warm_epochs + 1 and epoch > 1:
            self.networks.end_warm_start()
        self.networks.start_epoch(epoch)
        if self.objective.surveys(epoch) and self.start.warm_labels(epoch) is None:
            self.objective.survey(epoch, self.networks.overview(self.coarse))
        order = torch.randperm(len(self.inputs), generator=torch_stream(self.seed, "order", epoch))
        device, streams = self.compute.device, self._streams
        for name, stream in streams.items():
            stream.manual_seed(derive_seed(self.seed, name, epoch))
        names: tuple[str, ...] = ()
        sums = torch.zeros((), device=device)
        for rows in order.to(device).tensor_split(num_batches(len(order), config.batch_size)):
            values = self._train_step(rows, epoch, streams)
            names = tuple(values)
            sums = sums + torch.stack([*values.values()]) * len(rows)
        if self.graphs is not None:
            self.graphs.tell()
        totals = sums.tolist()  # the only time in an epoch that the losses are waited for
        means = {f"train/{name}": total / len(order) for name, total in zip(names, totals, strict=True)}
        broken = sorted(name for name, value in means.items() if not math.isfinite(value))
        if broken:
            raise TrialError(f"non-finite {', '.join(broken)} in epoch {epoch} (step {self.step})")
        return means

    def _train_step(self, rows: Tensor, epoch: int, streams: dict[str, torch.Generator]) -> dict[str, Tensor]:
        """One optimiser step on ``rows`` (B,), positions in the training split; returns the detached loss values."""
        warm = self.start.warm_labels(epoch)
        if warm is not None:
            values = self._warm_step(rows, warm[rows], streams)
        else:
            given = Given(rows, self.relations.tensor, self.start.log_prior())
            if self.graphs is None:
                values = self._learn(given, epoch, streams)
            else:
                values = self.graphs.run(
                    lambda given: self._learn(given, epoch, streams),
                    given,
                    self._numbers(epoch),
                    streams,
                    known=not self.networks.has_own_parts,
                )
        self.step += 1
        self.networks.follow_student()
        if warm is None and self.networks.has_fine_head:
            balanced = epoch <= self.soft_epochs or self.config.relations.balance_after_soft
            self.relations.solve_if_due(self.step, balanced)
        return values

    def _numbers(self, epoch: int) -> tuple[Any, ...]:
        """What steps of an epoch take from the host, and memory that is not the same in every epoch."""
        progress = StepOutputs(coarse=self.coarse, progress=(epoch - 1) / self.config.epochs)
        neighbors = self.networks.neighbors
        return (
            epoch if self.networks.has_own_parts else None,
            *(group["lr"] for group in self.optimizer.param_groups),
            softness(self.config.objective.pseudo_labels, epoch, self.config.epochs),
            self.objective.trained(progress),
            *(() if neighbors is None else neighbors.held),
        )

    def _learn(self, given: Given, epoch: int, streams: dict[str, torch.Generator]) -> dict[str, Tensor]:
        """What a step does on the device, but for the teacher, whose pace changes from step to step."""
        rows = given.rows
        inputs, coarse = self.inputs[rows], self.coarse[rows]
        targets = self.networks.targets(rows, inputs, self.inputs, streams)
        if self.relations.learned and targets.logits is not None:
            self.relations.collect(targets.logits.softmax(dim=1), coarse)
        features, log_probs = self.networks.student_outputs(inputs, streams["x0"])
        embedded, prototypes = self.networks.class_vectors(features)
        outputs = StepOutputs(
            coarse=coarse,
            features=features,
            rows=rows,
            log_probs=log_probs,
            fine_to_coarse=given.relations,
            teacher_logits=targets.logits,
            neighbor_log_probs=targets.neighbor_log_probs,
            neighbor_valid=targets.neighbor_valid,
            softness=softness(self.config.objective.pseudo_labels, epoch, self.config.epochs),
            fine=None if self.fine is None else self.fine[rows],
            keys=targets.keys,
            embedded=embedded,
            prototypes=prototypes,
            log_prior=given.log_prior,
            progress=(epoch - 1) / self.config.epochs,
            generator=streams["term"],
        )
        loss, values = self.objective(outputs)
        self._update(loss)
        if self.start.prior is not None and log_probs is not None:
            self.start.prior.follow(log_probs.detach())
        return {"loss": loss.detach()} | {f"loss_{name}": value for name, value in values.items()}

    def _warm_step(self, rows: Tensor, labels: Tensor, streams: dict[str, torch.Generator]) -> dict[str, Tensor]:
        """One optimiser step towards the clusters ``labels`` (B,) that the fine head starts from."""
        _, log_probs = self.networks.student_outputs(self.inputs[rows], streams["x0"])
        loss = nll_loss(provided(log_probs, "a fine head"), labels)
        self._update(loss)
        return {"loss": loss.detach()}

    def _update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.compute.backward_and_step(loss, self.optimizer)
        self.networks.after_step()

    # --- evaluation --------------------------------------------------------------------------------------------

    def _find_classes(self, epoch: int, cache: PredictionCache, last: bool) -> None:
        """Without a fine head, find fine classes and their parents in the features after ``epoch``, once."""
        if not self.networks.has_fine_head and self._clustered_epoch != epoch:
            self._clustered_epoch = epoch
            probs = self.networks.cluster(epoch, cache.features(self.view.train), last)
            self.relations.solve_for(probs, self.view.train_coarse)

    def _cache(self, predicted: Iterable[str], last: bool) -> PredictionCache:
        """A cache for an evaluation that predicts these splits; the last one records predictions of all."""
        rows = {split: self.evaluator.rows(split) for split in SPLIT_BITS}
        return PredictionCache(self.networks, [rows[split] for split in predicted], [*rows.values()] if last else ())

    def _evaluate(self, epoch: int, last: bool) -> dict[str, float]:
        final = self.evaluator.final_splits if last else ()
        cache = self._cache({*self.evaluator.splits, "val", *final}, last)  # the validation loss is of val
        self._find_classes(epoch, cache, last)
        metrics: dict[str, float] = {}
        for split in self.evaluator.splits:
            predictions = cache.predict(self.evaluator.rows(split))
            metrics |= self.evaluator.measure(split, predictions, self.relations.fine_to_coarse)
        if not last:
            features = {split: cache.features(self.evaluator.rows(split)) for split in self.evaluator.splits_by_epoch}
            metrics |= self.evaluator.measure_by_epoch(features)
        if last:
            needed = {split: cache.predict(self.evaluator.rows(split)) for split in self.evaluator.final_splits}
            metrics |= self.evaluator.measure_final(needed)
            if self.evaluator.episodes_by_epoch:
                metrics |= at_best_validation([*(entry.metrics for entry in self.history), metrics])
            attention = self._attention()
            if attention is not None:
                metrics |= self.evaluator.measure_attention(attention)
            self._final = self._end(cache, attention)
        return metrics | self._validation_loss(epoch, cache)

    @torch.no_grad()
    def _validation_loss(self, epoch: int, cache: PredictionCache) -> dict[str, float]:
        """The label-free objective on the validation split: networks in evaluation mode, nearest neighbours."""
        student, teacher = (
            cache.outputs(model, self.view.val) for model in (self.networks.model, self.networks.teacher.model)
        )
        log_teacher = log_of(self.compute.to_device(teacher.probs))
        neighbors = self.evaluator.neighbors_of("val")
        positions = None if neighbors is None else self.compute.to_device(neighbors)
        outputs = StepOutputs(
            coarse=self.compute.to_device(self.view.val_coarse),
            features=self.compute.to_device(student.features),
            log_probs=log_of(self.compute.to_device(student.probs)),
            fine_to_coarse=self.relations.tensor,
            teacher_logits=log_teacher,
            neighbor_log_probs=None if positions is None else log_teacher[positions.clamp_min(0)],
            neighbor_valid=None if positions is None else positions >= 0,
            softness=softness(self.config.objective.pseudo_labels, epoch, self.config.epochs),
            log_prior=self.start.log_prior(),
            progress=(epoch - 1) / self.config.epochs,
        )
        loss, values = self.objective(outputs, validation=True)
        if not values:
            return {}
        named = {"loss": loss} | {f"loss_{name}": value for name, value in values.items()}
        return {f"val/{name}": float(value) for name, value in named.items()}

    # --- checkpoints -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that a new trainer of the same cell needs to continue exactly."""
        return {
            "version": CHECKPOINT_VERSION,
            "networks": self.networks.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "relations": self.relations.state_dict(),
            "prior": None if self.start.prior is None else self.start.prior.state_dict(),
            "history": [asdict(entry) for entry in self.history],
            "step": self.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that ``state_dict`` made."""
        version = state.get("version")
        if version != CHECKPOINT_VERSION:
            raise TrialError(f"checkpoint version {version} cannot be read; this one writes {CHECKPOINT_VERSION}")
        self.networks.load_state_dict(state["networks"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.relations.load_state_dict(state["relations"])
        if self.start.prior is not None:
            self.start.prior.load_state_dict(state["prior"])
        self.history = [EpochMetrics(**entry) for entry in state["history"]]
        self.step = state["step"]
        self._final = None
        if self.graphs is not None:
            self.graphs.reset()
