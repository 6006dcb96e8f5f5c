"""The study file's samplers and domains as Optuna's; the only place that translates between the two.

Every ask gets a new sampler with its own seed: what it proposes depends on the search's seed, on which suggestion it is
to become and at which attempt, and on Optuna's study so far, but not on what this process did before.
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
    """The domain as an Optuna distribution."""
    if isinstance(domain, ChoiceDomain):
        return CategoricalDistribution([label_of(domain, value) for value in domain.values])
    if isinstance(domain, IntDomain):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    if isinstance(domain, QuantizedDomain):
        return FloatDistribution(domain.low, domain.at(1.0), step=domain.step)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniformDomain))


def label_of(domain: Domain, value: Any) -> Any:
    """A value of the domain as Optuna stores it: choices become JSON unless all are strings or all are numbers."""
    if not isinstance(domain, ChoiceDomain):
        return value
    strings = all(isinstance(choice, str) for choice in domain.values)
    numbers = all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in domain.values)
    return value if strings or numbers else json.dumps(value, sort_keys=True)


def value_of(domain: Domain, label: Any) -> Any:
    """The value of the domain that Optuna's label stands for."""
    if isinstance(domain, ChoiceDomain):
        return next(value for value in domain.values if label_of(domain, value) == label)
    return domain.canonical(label)


def make_sampler(
    config: SamplerConfig, distributions: Distributions, seed: int, number: int, attempt: int
) -> BaseSampler:
    """The sampler for one ask.

    Args:
        config: The sampler in the study file.
        distributions: All parameters of a space without conditions; empty for a space with conditions.
        seed: Seed of the search.
        number: Number of the suggestion that is asked for.
        attempt: Asks for it before this one.

    Raises:
        ConfigError: The sampler needs a package that is not installed.
    """
    ask_seed = derive_seed(seed, "sampler", number, attempt) % 2**31
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match config:
            case TpeConfig():
                return TPESampler(
                    n_startup_trials=config.startup_trials,
                    multivariate=config.multivariate,
                    group=config.multivariate,
                    seed=ask_seed,
                )
            case GpConfig():
                return GPSampler(n_startup_trials=config.startup_trials, warn_independent_sampling=False, seed=ask_seed)
            case CmaEsConfig():
                return _cmaes(config, ask_seed)
            case NsgaConfig():
                return NSGAIISampler(
                    population_size=config.population,
                    crossover_prob=config.crossover_probability,
                    mutation_prob=config.mutation_probability,
                    seed=ask_seed,
                )
            case QmcConfig():
                return _Sequence(config, distributions, derive_seed(seed, "sequence") % 2**31)
            case RandomConfig():
                return RandomSampler(seed=ask_seed)
            case BruteForceConfig():
                return _Enumerator(seed=ask_seed)


def _cmaes(config: CmaEsConfig, seed: int) -> BaseSampler:
    if find_spec("cmaes") is None:  # Optuna would find out only when it first samples
        rule, fix = "cmaes needs a package that is not installed", "pip install cmaes, or use tpe"
        raise ConfigError(rule, path="design.sampler", fix=fix)
    return CmaEsSampler(sigma0=config.sigma, popsize=config.population, warn_independent_sampling=False, seed=seed)


class _Sequence(QMCSampler):
    """A quasi-random sequence over a known space; Optuna's class draws its first point at random to learn the space."""

    def __init__(self, config: QmcConfig, distributions: Distributions, seed: int) -> None:
        super().__init__(qmc_type=config.sequence, scramble=config.scramble, seed=seed, warn_independent_sampling=False)
        self._distributions = dict(distributions)

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 (Optuna's signature)
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Every parameter that has more than one value."""
        return {path: domain for path, domain in self._distributions.items() if not domain.single()}


class _Enumerator(BruteForceSampler):
    """Every point once; ``Search``, which knows what is feasible, decides whether one is left."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Do not stop the study as Optuna's class would: under ask and tell that is an error."""
