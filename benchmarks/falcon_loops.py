"""FALCON's training loop in two rival forms, to be measured against fgtune's: as released, and as short as can be.

``ReleasedLoop`` does in every step what the released code does, written anew from a description: averaged weights are
swapped into the one model and back, the teacher sees a batch and five neighbours of each sample, and relations are
expanded to (batch, fine, coarse). Its samples come one by one through torch's loader, or as slices of one tensor.
``PlainLoop`` is the same mathematics with two passes of a batch a step: the student's and the teacher's, whose
predictions of neighbours are remembered. Both solve the relations with fgtune's solver, as often as fgtune does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from fgtune.config.schema.classes import FlowSolverConfig
from fgtune.config.schema.model import ModelConfig
from fgtune.models.classifier import FineClassifier, build_classifier
from fgtune.relations.base import RelationsProblem
from fgtune.relations.initial import beta_from_balance, initial_affinity
from fgtune.relations.solve import solve

DRAWN = 5
TEMPERATURE, MOMENTUM, DECAY = 0.9, 0.9, 0.99
WEIGHTS = {"coarse": 0.5, "nn": 0.5, "conf": 0.5, "reg": 2.0}
SOFT = 0.3


@dataclass(frozen=True)
class Problem:
    """What all loops train on.

    Attributes:
        inputs: (n, ...) float32.
        coarse: (n,) int64.
        neighbors: (n, 20) int64 positions.
        num_fine, num_coarse: K_F and K_C.
        model: The network.
        batch_size, epochs, every_steps: Samples a batch, epochs in all, steps between two solves.
        lr: Learning rate before the milestones at 60 and 80 % of the epochs.
        noise: Standard deviation of the noise on both views; 0 for none.
        seed: Of weights and order.
        device: Where the loop runs.
    """

    inputs: np.ndarray
    coarse: np.ndarray
    neighbors: np.ndarray
    num_fine: int
    num_coarse: int
    model: ModelConfig
    batch_size: int = 256
    epochs: int = 100
    every_steps: int = 20
    lr: float = 0.1
    noise: float = 0.0
    seed: int = 0
    device: str = "cpu"

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return math.ceil(len(self.inputs) / self.batch_size)


class Loop:
    """What the two forms share: network, relations, learning rate."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.device = problem, torch.device(problem.device)
        self.inputs = torch.from_numpy(problem.inputs).to(self.device)
        self.coarse = torch.from_numpy(problem.coarse).to(self.device)
        self.neighbors = torch.from_numpy(problem.neighbors).to(self.device)
        self.rng = torch.Generator().manual_seed(problem.seed)
        self.model: FineClassifier = build_classifier(
            problem.model, problem.inputs.shape[1:], problem.num_fine, problem.seed
        ).to(self.device)
        self.model.train()
        self.epoch = self.step = 0
        self.beta = beta_from_balance(1.0, problem.num_fine, problem.num_coarse)
        self.set_relations(initial_affinity(problem.num_fine, problem.num_coarse, np.random.default_rng(problem.seed)))

    def set_relations(self, affinity: np.ndarray) -> None:
        """Solve for the relations."""
        parents = solve(RelationsProblem(affinity, self.beta), FlowSolverConfig()).fine_to_coarse
        self.parents = torch.from_numpy(parents).to(self.device)
        self.relations = functional.one_hot(self.parents, self.problem.num_coarse).bool()  # (K_F, K_C)

    @property
    def softness(self) -> float:
        """Share of soft labels in this epoch."""
        length = round(SOFT * self.problem.epochs)
        return 0.5 * (1 + math.cos(math.pi * (self.epoch - 1) / length)) if self.epoch <= length else 0.0

    @property
    def rate(self) -> float:
        """Learning rate in this epoch."""
        passed = sum(self.epoch - 1 >= round(share * self.problem.epochs) for share in (0.6, 0.8))
        return self.problem.lr * 0.1**passed

    def view(self, inputs: Tensor) -> Tensor:
        """A view of inputs (B, ...)."""
        return inputs + self.problem.noise * torch.randn_like(inputs) if self.problem.noise else inputs

    @torch.no_grad()
    def predict(self) -> np.ndarray:
        """(n,) fine class of every training sample, by the student."""
        self.model.eval()
        found = [self.model(part).argmax(dim=1).cpu() for part in self.inputs.split(1024)]
        self.model.train()
        return torch.cat(found).numpy()


class _Samples(Dataset):  # type: ignore[type-arg]
    """One sample at a time: both views, five neighbours, label and position."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._rng = np.random.default_rng(problem.seed)

    def __len__(self) -> int:
        return len(self._problem.inputs)

    def _view(self, position: int) -> Tensor:
        sample = torch.from_numpy(self._problem.inputs[position])
        return sample + self._problem.noise * torch.randn_like(sample) if self._problem.noise else sample.clone()

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor, Tensor, int]:
        drawn = self._rng.choice(self._problem.neighbors[position], DRAWN, replace=False)
        near = torch.stack([self._view(int(each)) for each in drawn])
        return self._view(position), self._view(position), near, int(self._problem.coarse[position])


class ReleasedLoop(Loop):
    """The loop as it was released.

    Args:
        problem: What is trained on.
        one_by_one: Whether samples come through torch's loader.
    """

    def __init__(self, problem: Problem, one_by_one: bool) -> None:
        super().__init__(problem)
        self.one_by_one = one_by_one
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=problem.lr, momentum=MOMENTUM)
        self.average = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        self.updates = 0

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Both views, neighbours (B, 5, ...) and labels."""
        if self.one_by_one:
            loader = DataLoader(_Samples(self.problem), self.problem.batch_size, shuffle=True, generator=self.rng)
            for batch in loader:
                yield tuple(each.to(self.device) for each in batch)  # type: ignore[misc]
            return
        for rows in torch.randperm(len(self.inputs), generator=self.rng).to(self.device).split(self.problem.batch_size):
            order = torch.rand(len(rows), self.neighbors.shape[1], device=self.device).argsort(dim=1)[:, :DRAWN]
            near = self.neighbors[rows].gather(1, order)
            inputs = self.inputs[rows]
            yield self.view(inputs), self.view(inputs), self.view(self.inputs[near]), self.coarse[rows]

    @torch.no_grad()
    def teacher(self, view: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K_F) and neighbours' probabilities (B, 5, K_F), by the averaged weights in the one model."""
        kept = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        for name, value in self.model.named_parameters():
            value.copy_(self.average[name])
        logits = self.model(view)
        others = self.model(near.flatten(0, 1)).softmax(dim=1).view(*near.shape[:2], -1)
        for name, value in self.model.named_parameters():
            value.copy_(kept[name])
        return logits, others

    def loss(self, logits: Tensor, teacher: Tensor, others: Tensor, labels: Tensor) -> Tensor:
        """The weighted sum of the four terms."""
        mask = self.relations.unsqueeze(0)  # (1, K_F, K_C)
        within = logits.unsqueeze(2).masked_fill(~mask, -math.inf).logsumexp(dim=1)  # (B, K_C)
        coarse = functional.cross_entropy(within - logits.logsumexp(dim=1, keepdim=True), labels)
        probs = logits.softmax(dim=1)
        near = -torch.log(torch.einsum("nf,nkf->nk", probs, others)).mean()
        allowed = self.relations.T[labels]
        soft = (teacher / TEMPERATURE).masked_fill(~allowed, -math.inf).softmax(dim=1)
        hard = functional.one_hot(soft.argmax(dim=1), soft.shape[1]).float()
        target = self.softness * soft + (1 - self.softness) * hard
        confidence = functional.cross_entropy(logits, target)
        mean = probs.mean(dim=0)
        spread = math.log(len(mean)) + (mean * mean.log()).sum()
        w = WEIGHTS
        return w["coarse"] * coarse + w["conf"] * confidence + w["nn"] * near + w["reg"] * spread

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights, one after the other."""
        self.updates += 1
        decay = min(DECAY, (1 + self.updates) / (10 + self.updates))
        for name, value in self.model.named_parameters():
            self.average[name].sub_((1 - decay) * (self.average[name] - value))

    def train_epoch(self) -> None:
        """One epoch."""
        self.epoch += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        seen: list[Tensor] = []
        labels_seen: list[Tensor] = []
        for view, other, near, labels in self.batches():
            teacher, others = self.teacher(other, near)
            loss = self.loss(self.model(view), teacher, others, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.update_average()
            self.step += 1
            seen.append(teacher.softmax(dim=1))
            labels_seen.append(labels)
            if self.step % self.problem.every_steps == 0:
                probs = torch.cat(seen)
                known = functional.one_hot(torch.cat(labels_seen), self.problem.num_coarse).float()
                self.set_relations((probs.T @ known / len(probs)).double().cpu().numpy())
                seen, labels_seen = [], []


class PlainLoop(Loop):
    """The shortest loop with the same terms: two passes of a batch, neighbours from the teacher's memory."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.teacher = build_classifier(problem.model, problem.inputs.shape[1:], problem.num_fine, problem.seed).to(
            self.device
        )
        self.teacher.requires_grad_(False).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=problem.lr, momentum=MOMENTUM, foreach=True)
        self.pairs = [*self.teacher.parameters()], [*self.model.parameters()]
        self.memory = torch.full((len(self.inputs), problem.num_fine), 1 / problem.num_fine, device=self.device)
        self.affinity = torch.zeros(problem.num_fine, problem.num_coarse, device=self.device)
        self.known = functional.one_hot(self.coarse, problem.num_coarse).float()
        self.seen = 0

    def train_epoch(self) -> None:
        """One epoch."""
        self.epoch += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        for rows in torch.randperm(len(self.inputs), generator=self.rng).to(self.device).split(self.problem.batch_size):
            self.train_step(rows)

    def train_step(self, rows: Tensor) -> None:
        """One step."""
        inputs, labels = self.inputs[rows], self.coarse[rows]
        allowed = self.relations.T[labels]
        with torch.no_grad():
            logits = self.teacher(self.view(inputs))
            self.memory[rows] = probs = logits.softmax(dim=1)
            self.affinity += probs.T @ self.known[rows]
            self.seen += len(rows)
            order = torch.rand(len(rows), self.neighbors.shape[1], device=self.device).topk(DRAWN, dim=1).indices
            others = self.memory[self.neighbors[rows].gather(1, order)]  # (B, 5, K_F)
            soft = (logits / TEMPERATURE).masked_fill(~allowed, -math.inf).softmax(dim=1)
            target = self.softness * soft
            best = soft.argmax(dim=1, keepdim=True)
            target.scatter_add_(1, best, torch.full_like(best, 1 - self.softness, dtype=target.dtype))
        log_probs = self.model(self.view(inputs)).log_softmax(dim=1)
        student = log_probs.exp()
        coarse = -log_probs.masked_fill(~allowed, -math.inf).logsumexp(dim=1).mean()
        near = -torch.bmm(others, student.unsqueeze(2)).clamp_min(1e-30).log().mean()
        confidence = -(target * log_probs).sum() / len(rows)
        mean = student.mean(dim=0)
        spread = math.log(len(mean)) + torch.xlogy(mean, mean).sum()
        w = WEIGHTS
        loss = w["coarse"] * coarse + w["conf"] * confidence + w["nn"] * near + w["reg"] * spread
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        decay = min(DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(*self.pairs, 1 - decay)
            if self.step % self.problem.every_steps == 0:
                self.set_relations((self.affinity / self.seen).double().cpu().numpy())
                self.affinity.zero_()
                self.seen = 0
