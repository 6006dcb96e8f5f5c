"""The contract of loss terms: value, gradient, needs, randomness, state."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.models.initialize import build_by_seed
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext
from fgtune.objectives.objective import Objective
from fgtune.testing import Plain, permitted, require

NUM_FINE, BATCH, DIM, TRAIN, NEIGHBORS = 5, 7, 4, 12, 3
RELATIONS = ((0, 0, 1, 1, 1), (0, 1, 1, 0, 1))
"""Two sources over the same fine classes."""

COARSE = torch.tensor([[0, -1], [1, 0], [-1, 1]])[torch.arange(TRAIN) % 3]
"""Coarse labels of the training samples."""
CONTEXT = TermContext(DIM, NUM_FINE, (2, 2), torch.arange(TRAIN) % 3, COARSE, DIM)


@dataclass(frozen=True)
class TermCase:
    """A term under test.

    Attributes:
        objective: A section ``objective`` in which only this term has a weight.
        smooth: Whether its gradient is that of its value: False for one with a straight-through estimator.
    """

    objective: Plain
    smooth: bool = True

    def build(self, seed: int = 0) -> Term:
        """The term in float64, its parameters drawn anew, after one step on other outputs."""
        term = self.fresh(seed).double()
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in term.parameters():
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(0.5 * drawn)
            if term.surveys(1):
                whole, rows = outputs_for(term, seed=2, batch=TRAIN)[1], torch.arange(TRAIN)
                term.survey(dataclasses.replace(whole, rows=rows, coarse=COARSE))
            term(outputs_for(term, seed=1)[1])
            term.after_step()
        return term

    def fresh(self, seed: int) -> Term:
        """The term as a trial creates it."""
        config = ObjectiveConfig.from_plain(dict(self.objective))
        extra = self.objective.get("extra", {})
        with permitted(extra.values() if isinstance(extra, Mapping) else ()):
            objective = build_by_seed(lambda: Objective(config, CONTEXT), seed)
        objective.initialize_buffers(seed)
        names = list(objective.weights)
        require(len(names) == 1, f"the objective must have this one term, it has {names}")
        term = objective.term(names[0])
        if term is None:
            raise TypeError(f"{names[0]} is not a Term")
        return term


def outputs_for(
    term: Term, seed: int = 0, dtype: torch.dtype = torch.float64, batch: int = BATCH
) -> tuple[list[Tensor], StepOutputs]:
    """Leaves with a gradient (features, logits), and outputs made from them with exactly what the term needs."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=dtype)

    features, logits = draw(batch, DIM).requires_grad_(), draw(batch, NUM_FINE).requires_grad_()
    given: dict[Need, dict[str, Any]] = {
        Need.FINE_HEAD: {"log_probs": logits.log_softmax(dim=1)},
        Need.RELATIONS: {"fine_to_coarse": torch.tensor(RELATIONS)},
        Need.TEACHER: {"teacher_logits": draw(batch, NUM_FINE)},
        Need.NEIGHBORS: {
            "neighbor_log_probs": draw(batch, NEIGHBORS, NUM_FINE).log_softmax(dim=2),
            "neighbor_valid": torch.rand(batch, NEIGHBORS, generator=g) < 0.7,
        },
        Need.FINE_LABELS: {"fine": torch.randint(NUM_FINE, (batch,), generator=g)},
        Need.KEYS: {"keys": draw(batch, DIM)},
        Need.PROTOTYPES: {
            "embedded": functional.normalize(features, dim=1),
            "prototypes": functional.normalize(draw(NUM_FINE, DIM), dim=1),
        },
    }
    coarse = torch.tensor([[0, -1], [1, -1], [-1, 0], [-1, 1], [0, 1], [1, 0], [-1, -1]])[:batch]
    asked = {name: value for need in term.needs for name, value in given[need].items()}
    rows = torch.randperm(TRAIN, generator=g)[:batch]
    generator = torch.Generator().manual_seed(seed)
    outputs = StepOutputs(coarse, features, rows, softness=0.4, generator=generator, **asked)
    return [features, logits], outputs


def _value(term: Term, outputs: StepOutputs) -> Tensor:
    """The value from a copy of the term, with draws from a fixed seed: the term itself does not change."""
    value: Tensor = copy.deepcopy(term)(dataclasses.replace(outputs, generator=torch.Generator().manual_seed(0)))
    return value


def asks_for_what_goes_together(case: TermCase) -> None:
    """The teacher and its predictions for neighbours exist only where some term trains a fine head."""
    needs = case.fresh(0).needs
    alone = needs & {Need.TEACHER, Need.NEIGHBORS} and Need.FINE_HEAD not in needs
    require(not alone, "a term that needs the teacher or neighbors must need FINE_HEAD too")


def is_a_finite_scalar(case: TermCase) -> None:
    """A finite scalar >= 0 of the outputs' dtype, on whole batches and on a single sample."""
    for dtype in (torch.float64, torch.float32):
        term = case.build().to(dtype)
        for batch in (BATCH, 1):
            value = _value(term, outputs_for(term, dtype=dtype, batch=batch)[1])
            require(value.shape == (), f"must be a scalar, it has shape {tuple(value.shape)}")
            require(bool(torch.isfinite(value)), f"must be finite, it is {value.item()} on {batch} samples in {dtype}")
            require(value.item() >= -1e-6, f"must be >= 0, it is {value.item():g}")


def has_a_gradient(case: TermCase) -> None:
    """The gradient reaches features or predictions, and is finite."""
    term = case.build()
    leaves, outputs = outputs_for(term)
    gradients = torch.autograd.grad(_value(term, outputs), leaves, allow_unused=True)
    found = [each for each in gradients if each is not None]
    require(all(bool(torch.isfinite(each).all()) for each in found), "the gradient must be finite")
    require(any(bool((each != 0).any()) for each in found), "the gradient must reach features or predictions")


def has_the_gradient_of_its_value(case: TermCase) -> None:
    """The gradient agrees with finite differences in float64."""
    if not case.smooth:
        return
    term = case.build()
    (features, logits), outputs = outputs_for(term)

    def value(x: Tensor, z: Tensor) -> Tensor:
        log_probs = None if outputs.log_probs is None else z.log_softmax(dim=1)
        embedded = None if outputs.embedded is None else functional.normalize(x, dim=1)
        changed = dataclasses.replace(outputs, features=x, log_probs=log_probs, embedded=embedded)
        return _value(term, changed) + 0 * z.sum() + 0 * x.sum()

    agrees = torch.autograd.gradcheck(value, (features, logits), raise_exception=False)
    require(agrees, "the gradient must agree with finite differences")


def survives_a_batch_without_labels(case: TermCase) -> None:
    """With no coarse label and no neighbour in the batch, value and gradient are finite."""
    term = case.build()
    leaves, outputs = outputs_for(term)
    valid = None if outputs.neighbor_valid is None else torch.zeros_like(outputs.neighbor_valid)
    bare = dataclasses.replace(outputs, coarse=torch.full_like(outputs.coarse, -1), neighbor_valid=valid)
    value = _value(term, bare)
    require(bool(torch.isfinite(value)), f"without labels it must be finite, it is {value.item()}")
    require(value.requires_grad, "without labels it must still have a gradient, if only of zeros")
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    finite = all(bool(torch.isfinite(each).all()) for each in gradients if each is not None)
    require(finite, "without labels the gradient must be finite")


def draws_from_the_generator_alone(case: TermCase) -> None:
    """The same generator gives the same value, and global random state is neither read nor changed."""
    term = case.build()
    before = torch.get_rng_state()
    first = _value(term, outputs_for(term)[1])
    require(torch.equal(before, torch.get_rng_state()), "must leave the global random state as it was")
    torch.rand(3)
    again = _value(term, outputs_for(term)[1])
    torch.set_rng_state(before)
    require(torch.equal(first, again), "the same outputs and generator must give the same value")


def leaves_the_outputs_as_they_are(case: TermCase) -> None:
    """It changes no tensor that it is given, since other terms read them too."""
    term = case.build()
    _, outputs = outputs_for(term)
    tensors = {name: value for name, value in vars(outputs).items() if isinstance(value, Tensor)}
    before = {name: value.detach().clone() for name, value in tensors.items()}
    _value(term, outputs)
    changed = [name for name, value in tensors.items() if not torch.equal(before[name], value.detach())]
    require(not changed, f"must not change what it is given, it changes {changed}")


def has_a_value_in_validation(case: TermCase) -> None:
    """Outside the training split there are no rows, no keys, no draws; a term without a value there says so."""
    term = case.build().eval()
    if term.on_validation:
        _, outputs = outputs_for(term)
        with torch.no_grad():
            value = term(dataclasses.replace(outputs, rows=None, keys=None, fine=None, generator=None))
        require(bool(torch.isfinite(value)), "in validation it must be finite, or on_validation must be False")


def starts_from_the_seed_alone(case: TermCase) -> None:
    """Parameters and buffers are a function of the seed, and the global random state is left as it was."""
    before = torch.get_rng_state()
    first = case.fresh(0).state_dict()
    require(torch.equal(before, torch.get_rng_state()), "building must leave the global random state as it was")
    torch.rand(3)
    again = case.fresh(0).state_dict()
    torch.set_rng_state(before)
    changed = [name for name, value in first.items() if not torch.equal(value, again[name])]
    require(not changed, f"the same seed must give the same state, it does not in {changed}")


def lives_in_its_state(case: TermCase) -> None:
    """A term that loads the state of another gives the same value: a checkpoint has everything."""
    term, restored = case.build(seed=0), case.fresh(1).double()
    restored.load_state_dict(term.state_dict())
    values = [_value(each, outputs_for(each)[1]) for each in (term, restored)]
    require(torch.equal(*values), "state_dict must hold all that the value depends on")


CHECKS: tuple[Callable[[TermCase], None], ...] = (
    asks_for_what_goes_together,
    is_a_finite_scalar,
    draws_from_the_generator_alone,
    has_a_gradient,
    has_the_gradient_of_its_value,
    survives_a_batch_without_labels,
    leaves_the_outputs_as_they_are,
    has_a_value_in_validation,
    starts_from_the_seed_alone,
    lives_in_its_state,
)


def check_term(term: Plain, smooth: bool = True) -> None:
    """Check the whole contract of a loss term.

    Args:
        term: An entry of ``objective.extra`` of a study file: kind and options; its weight may be left out.
        smooth: Whether its gradient is that of its value: False for one with a straight-through estimator.

    Raises:
        ContractError: The first rule that does not hold.
        ConfigError: The section is not valid.
    """
    objective = {"preset": "untrained", "extra": {"under_test": {"weight": 1.0, **term}}}
    if Need.KEYS in TermCase({**objective, "instance": {"kind": "queue"}}).fresh(0).needs:
        objective["instance"] = {"kind": "queue"}
    case = TermCase(objective, smooth)
    for check in CHECKS:
        check(case)
