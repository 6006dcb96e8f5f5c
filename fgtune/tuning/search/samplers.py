"""The study file's samplers and domains as Optuna's; the only place that translates between the two.

Every question gets a new sampler with a seed of its own: what it proposes then depends on the study seed, the number of
the question and the results so far, and not on what happened in this process before.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fgtune.config.schema.domains import ChoiceDomain, Domain, IntDomain, LogUniformDomain, QuantizedDomain
from fgtune.config.schema.tuning import (
    BruteForceConfig,
    CmaEsConfig,
    GpConfig,
    NsgaConfig,
    QmcConfig,
    RandomConfig,
    SamplerConfig,
    TpeConfig,
)
from fgtune.errors import ConfigError
from fgtune.streams import derive_seed

Distributions = Mapping[str, BaseDistribution]


def distribution_of(domain: Domain) -> BaseDistribution:
    """The domain as a distribution of Optuna's."""
    if isinstance(domain, ChoiceDomain):
        return CategoricalDistribution([label_of(domain, value) for value in domain.values])
    if isinstance(domain, IntDomain):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    if isinstance(domain, QuantizedDomain):
        return FloatDistribution(domain.low, domain.at(1.0), step=domain.step)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniformDomain))


def label_of(domain: Domain, value: Any) -> Any:
    """A value of the domain as Optuna stores it: choices that are not all texts or all numbers become JSON text."""
    if not isinstance(domain, ChoiceDomain):
        return value
    texts = all(isinstance(each, str) for each in domain.values)
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in domain.values)
    return value if texts or numbers else json.dumps(value, sort_keys=True)


def value_of(domain: Domain, label: Any) -> Any:
    """The value of the domain that Optuna's label stands for."""
    if isinstance(domain, ChoiceDomain):
        return next(value for value in domain.values if label_of(domain, value) == label)
    return domain.own(label)


def make_sampler(config: SamplerConfig, distributions: Distributions, seed: int, question: int) -> BaseSampler:
    """The sampler for one question.

    Args:
        config: As in the study file.
        distributions: Of all parameters of a space without conditions; empty for one with conditions.
        seed: Of the search.
        question: How many have been asked before.

    Raises:
        ConfigError: The sampler needs a package that is not installed.
    """
    own = derive_seed(seed, "sampler", question) % 2**31
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match config:
            case TpeConfig():
                together = config.multivariate
                return TPESampler(
                    n_startup_trials=config.startup_trials,
                    multivariate=together,
                    group=together,
                    seed=own,
                )
            case GpConfig():
                return GPSampler(n_startup_trials=config.startup_trials, warn_independent_sampling=False, seed=own)
            case CmaEsConfig():
                return _cmaes(config, own)
            case NsgaConfig():
                return NSGAIISampler(
                    population_size=config.population,
                    crossover_prob=config.crossover_probability,
                    mutation_prob=config.mutation_probability,
                    seed=own,
                )
            case QmcConfig():
                return _Sequence(config, distributions, derive_seed(seed, "sequence") % 2**31)
            case RandomConfig():
                return RandomSampler(seed=own)
            case BruteForceConfig():
                return _Enumerator(seed=own)


def _cmaes(config: CmaEsConfig, seed: int) -> BaseSampler:
    if find_spec("cmaes") is None:  # Optuna would find out only when it first samples
        rule, fix = "cmaes needs a package that is not installed", "pip install cmaes, or use tpe"
        raise ConfigError(rule, path="design.sampler", fix=fix)
    return CmaEsSampler(sigma0=config.sigma, popsize=config.population, warn_independent_sampling=False, seed=seed)


class _Sequence(QMCSampler):
    """A quasi-random sequence over a known space; Optuna's own draws its first point at random to learn the space."""

    def __init__(self, config: QmcConfig, distributions: Distributions, seed: int) -> None:
        super().__init__(qmc_type=config.sequence, scramble=config.scramble, seed=seed, warn_independent_sampling=False)
        self._distributions = dict(distributions)

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 (Optuna's signature)
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Every parameter that has more than one value."""
        return {path: each for path, each in self._distributions.items() if not each.single()}


class _Enumerator(BruteForceSampler):
    """Every point once; whether one is left is for ``Search`` to see, which knows what is feasible."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Do not stop the study, as Optuna's own would: under ask and tell that is an error."""
