"""The trainer: an iterator that yields the metrics of one epoch after another (FALCON, METHODS of sections 4.1-4.4).

It sees a ``TrainingView`` (no fine labels) and an ``Evaluator`` that answers with numbers. Every random draw belongs to
a stream named by purpose and epoch, so a restart from a checkpoint repeats an uninterrupted run exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from fgtune.config.trial import TrialConfig
from fgtune.data.base import TrainingView
from fgtune.errors import TrialError
from fgtune.models.classifier import build_classifier
from fgtune.models.teacher import EmaTeacher
from fgtune.objectives.base import Need, StepOutputs
from fgtune.objectives.objective import Objective, soft_epochs, softness
from fgtune.results.records import EpochMetrics, IntArray, TrialOutcome
from fgtune.streams import torch_stream
from fgtune.training.augment import Views
from fgtune.training.compute import Compute, log_of
from fgtune.training.evaluator import Evaluator, FloatArray, Predictions
from fgtune.training.neighbor_source import NeighborSource
from fgtune.training.optimization import build_optimizer, learning_rate, num_batches
from fgtune.training.relations_state import RelationsState

CHECKPOINT_VERSION = 1


class Trainer:
    """Train one cell; iterate for ``EpochMetrics``, then call ``outcome``.

    Args:
        config: Resolved: ``classes.num_fine`` is a number.
        view: What training may see.
        evaluator: Answers with metrics; holds the fine labels.
        seed: The block: initial weights, data order, noise and neighbour draws are functions of it.
        truth: (sources, K_F) true relations, given only when ``relations.mode`` is ``oracle``.
        threads: Threads of the neighbour search.

    Raises:
        TrialError: A loss became non-finite, or the config asks for a device that is not there.
    """

    def __init__(
        self,
        config: TrialConfig,
        view: TrainingView,
        evaluator: Evaluator,
        seed: int,
        truth: IntArray | None = None,
        threads: int = 1,
    ) -> None:
        if config.classes.num_fine is None:
            raise ValueError("the trial config must be resolved: classes.num_fine is None")
        self.config, self.view, self.evaluator, self.seed = config, view, evaluator, seed
        self.num_fine = config.classes.num_fine
        self.compute = Compute(config.device, config.precision)
        self.views = Views(config.augmentation)
        self.objective = Objective(config.objective)
        self.soft_epochs = soft_epochs(config.objective.pseudo_labels, config.epochs)

        device = self.compute.device
        self.inputs = self.compute.to_device(view.inputs[view.train])
        self.coarse = self.compute.to_device(view.train_coarse)
        self.model = build_classifier(config.model, view.inputs.shape[1:], self.num_fine, seed).to(device)
        self.teacher = EmaTeacher(self.model, config.teacher.decay, config.teacher.warmup, config.teacher.buffers)
        self.optimizer = build_optimizer(config.optimizer, self.model)
        self.relations = RelationsState(config.relations, self.num_fine, view.num_coarse, seed, device, truth=truth)
        self.neighbors: NeighborSource | None = None
        if Need.NEIGHBORS in self.objective.needs:
            self.neighbors = NeighborSource(
                config.neighbors, view, self.compute, self.model, self.teacher.model, threads
            )
        self.history: list[EpochMetrics] = []
        self.step = 0

    # --- iteration ---------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[EpochMetrics]:
        return self

    def __next__(self) -> EpochMetrics:
        """Train one epoch, evaluate if it is due, and return what came out."""
        if self.epoch >= self.config.epochs:
            raise StopIteration
        started = time.perf_counter()
        epoch = self.epoch + 1
        metrics = self._train_epoch(epoch)
        if epoch % self.config.evaluation.every_epochs == 0 or epoch == self.config.epochs:
            metrics |= self._evaluate(epoch)
        result = EpochMetrics(epoch, self.step, metrics, time.perf_counter() - started)
        self.history.append(result)
        return result

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def outcome(self) -> TrialOutcome:
        """What the finished trial hands over: the curve, the relations on the test split, the cost of the solver."""
        split = "test" if "test" in self.evaluator.splits else self.evaluator.splits[-1]
        fine = self.predict(self.view.inputs[self.evaluator.rows(split)]).fine
        record = self.evaluator.record(split, fine, self.relations.fine_to_coarse)
        seconds = sum(entry.seconds for entry in self.history)
        return TrialOutcome(tuple(self.history), record, self.relations.use(), seconds)

    # --- training ----------------------------------------------------------------------------------------------

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config.schedule, config.optimizer.lr, epoch, config.epochs)
        if self.neighbors is not None:
            self.neighbors.refresh_if_due(epoch, self.teacher.model)
        self.model.train()
        order = torch.randperm(len(self.inputs), generator=torch_stream(self.seed, "order", epoch)).to(
            self.compute.device
        )
        streams = {
            name: torch_stream(self.seed, name, epoch, device=self.compute.device) for name in ("x0", "x1", "draw")
        }
        sums: dict[str, Tensor] = {}
        for rows in order.tensor_split(num_batches(len(order), config.batch_size)):
            values = self._train_step(rows, epoch, streams)
            for name, value in values.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.compute.device)) + value * len(rows)
        means = {f"train/{name}": float(total) / len(order) for name, total in sums.items()}
        broken = sorted(name for name, value in means.items() if not math.isfinite(value))
        if broken:
            raise TrialError(f"non-finite {', '.join(broken)} in epoch {epoch} (step {self.step})")
        return means

    def _train_step(self, rows: Tensor, epoch: int, streams: dict[str, torch.Generator]) -> dict[str, Tensor]:
        """One optimiser step on ``rows`` (B,), positions in the training split; returns the detached loss values."""
        inputs, coarse = self.inputs[rows], self.coarse[rows]
        with torch.no_grad():
            teacher_logits, log_q, valid = self._teacher_pass(rows, inputs, streams)
            if self.relations.learned:
                self.relations.collect(teacher_logits.softmax(dim=1), coarse)
        logits = self.compute.logits(self.model, self.views.student(inputs, streams["x0"]))
        outputs = StepOutputs(
            log_probs=logits.log_softmax(dim=1),
            coarse=coarse,
            fine_to_coarse=self.relations.tensor,
            teacher_logits=teacher_logits,
            neighbor_log_probs=log_q,
            neighbor_valid=valid,
            softness=softness(self.config.objective.pseudo_labels, epoch, self.config.epochs),
        )
        loss, values = self.objective(outputs)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.teacher.update()
        self.step += 1
        self.relations.solve_if_due(
            self.step, balanced=epoch <= self.soft_epochs or self.config.relations.balance_after_soft
        )
        return {"loss": loss.detach()} | {f"loss_{name}": value for name, value in values.items()}

    def _teacher_pass(
        self, rows: Tensor, inputs: Tensor, streams: dict[str, torch.Generator]
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Teacher logits (B, K_F) on x1, and log-probabilities (B, k, K_F) of drawn neighbours with their validity."""
        logits = self.compute.logits(self.teacher.model, self.views.teacher(inputs, streams["x1"]))
        if self.neighbors is None:
            return logits, None, None
        positions, valid = self.neighbors.draw(rows, streams["draw"])
        if self.neighbors.memory is not None:
            self.neighbors.memory[rows] = logits.log_softmax(dim=1)
            return logits, self.neighbors.memory[positions.clamp_min(0)], valid
        log_q = logits.new_zeros((*positions.shape, self.num_fine))
        drawn = positions[valid]
        if len(drawn) < 2:  # batch norm cannot normalise a single sample
            return logits, log_q, torch.zeros_like(valid)
        found = self.compute.logits(self.teacher.model, self.views.teacher(self.inputs[drawn], streams["x1"]))
        log_q[valid] = found.log_softmax(dim=1)
        return logits, log_q, valid

    # --- evaluation --------------------------------------------------------------------------------------------

    def predict(self, inputs: FloatArray) -> Predictions:
        """Predictions of the evaluated weights (student or teacher) on ``inputs`` (n, ...) as they are."""
        student = self.config.evaluation.weights == "student"
        return self.compute.predict(self.model if student else self.teacher.model, inputs)

    def _evaluate(self, epoch: int) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for split in self.evaluator.splits:
            predictions = self.predict(self.view.inputs[self.evaluator.rows(split)])
            metrics |= self.evaluator.measure(split, predictions, self.relations.fine_to_coarse)
        return metrics | self._validation_loss(epoch)

    @torch.no_grad()
    def _validation_loss(self, epoch: int) -> dict[str, float]:
        """The objective on the validation split, label-free; both networks in evaluation mode, nearest neighbours."""
        inputs = self.view.inputs[self.view.val]
        student, teacher = (
            log_of(self.compute.to_device(self.compute.predict(model, inputs).probs))
            for model in (self.model, self.teacher.model)
        )
        near = self.evaluator.neighbors_of("val")
        positions = None if near is None else self.compute.to_device(near)
        outputs = StepOutputs(
            log_probs=student,
            coarse=self.compute.to_device(self.view.val_coarse),
            fine_to_coarse=self.relations.tensor,
            teacher_logits=teacher,
            neighbor_log_probs=None if positions is None else teacher[positions.clamp_min(0)],
            neighbor_valid=None if positions is None else positions >= 0,
            softness=softness(self.config.objective.pseudo_labels, epoch, self.config.epochs),
        )
        loss, values = self.objective(outputs)
        named = {"loss": loss} | {f"loss_{name}": value for name, value in values.items()}
        return {f"val/{name}": float(value) for name, value in named.items()}

    # --- checkpoints -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that a fresh trainer of the same cell needs to go on exactly as this one would."""
        return {
            "version": CHECKPOINT_VERSION,
            "model": self.model.state_dict(),
            "teacher": self.teacher.model.state_dict(),
            "teacher_updates": self.teacher.updates,
            "optimizer": self.optimizer.state_dict(),
            "relations": self.relations.state_dict(),
            "neighbors": None if self.neighbors is None else self.neighbors.state_dict(),
            "history": [asdict(entry) for entry in self.history],
            "step": self.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that ``state_dict`` made."""
        if state.get("version") != CHECKPOINT_VERSION:
            raise TrialError(
                f"checkpoint version {state.get('version')} cannot be read; this one writes {CHECKPOINT_VERSION}"
            )
        self.model.load_state_dict(state["model"])
        self.teacher.model.load_state_dict(state["teacher"])
        self.teacher.updates = state["teacher_updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.relations.load_state_dict(state["relations"])
        if self.neighbors is not None:
            self.neighbors.load_state_dict(state["neighbors"])
        self.history = [EpochMetrics(**entry) for entry in state["history"]]
        self.step = state["step"]
