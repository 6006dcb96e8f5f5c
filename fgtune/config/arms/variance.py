"""The arms of a study of variance, and where other studies may fix random streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fgtune.config.arms.draft_arms import DraftArm, Drafts, arm_config
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.paths import overlap
from fgtune.config.schema.streams import STREAMS
from fgtune.config.schema.study import Study
from fgtune.config.schema.variance import VarianceDesign
from fgtune.errors import MultiConfigError
from fgtune.text import listed

_STREAMS = "streams"


def variance_arms(loaded: LoadedStudy, design: VarianceDesign) -> Drafts:
    """One arm in which all streams follow the seed, one for each stream alone, and one for none.

    Raises:
        ConfigError: The trial fixes a stream itself, is stopped early, or is not valid.
    """
    study = loaded.study
    fixed = study.trial.own().streams.fixed
    if fixed:
        rule = "a study of variance fixes streams itself, arm by arm"
        raise loaded.error(("trial", _STREAMS, fixed[0]), rule, "leave it out; design.around names the seed they have")
    if study.stopping is not None:
        rule = "the spread of trials that are stopped early is not that of trials: those left went well"
        raise loaded.error(("scheduler",), rule, "take the scheduler out")
    factors = tuple(f"{_STREAMS}.{name}" for name in STREAMS)
    drafts = []
    for arm, seeds in design.fixed_streams(study.seed_list[0]).items():
        levels = {f"{_STREAMS}.{name}": seed for name, seed in seeds.items()}
        config, errors = arm_config(loaded, [{path: seed for path, seed in levels.items() if seed is not None}], {})
        MultiConfigError.raise_all(errors)
        if config is not None:
            is_baseline = arm == design.baseline_arm
            drafts.append(DraftArm(arm, levels, config, is_baseline, "baseline" if is_baseline else "variance"))
    return Drafts(factors, drafts)


def check_streams(loaded: LoadedStudy, drafts: Iterable[DraftArm]) -> None:
    """Raise unless a block stays one: its arms share what follows the seed, and its seeds differ in something.

    Raises:
        ConfigError: Where a stream is set that arms do not share, or all are fixed while there are several seeds.
    """
    design, study = loaded.study.design, loaded.study
    if design.varies_streams:
        return
    fix = "set it in trial for all arms; design: {kind: variance} measures what each stream moves"
    rule = "arms that are compared seed by seed share split, initial weights and order, so none can change streams"
    own = study.trial.discovery
    if own is None:  # what a seed decides is the user's own affair
        return
    for draft in drafts:
        if draft.config.own().streams != own.streams:
            place = next((at for path, at in draft.places.items() if overlap(path, _STREAMS)), ("design",))
            raise loaded.error(place, rule, fix)
    path = next((path for path in design.domains if overlap(path, _STREAMS)), None)
    if path is not None:
        raise loaded.error(("design",), rule, fix, value=path)
    if len(own.streams.fixed) == len(STREAMS) and len(study.possible_seeds) > 1:
        rule = "with all streams fixed every seed repeats the same run, and repeats are no evidence"
        raise loaded.error(("trial", _STREAMS), rule, "let one of them follow the seed, or say `seeds: 1`")


def stream_warnings(study: Study) -> Iterator[str]:
    """What a study with fixed streams cannot show."""
    own = study.trial.discovery
    if own is None:  # nobody here draws anything
        return
    streams = own.streams
    words = {"split": "split", "weights": "set of initial weights", "order": "data order"}
    names = [f"{words[name]} ({getattr(streams, name)})" for name in streams.fixed]
    if names:
        yield (
            f"Every cell has the same {listed(names)}, by trial.streams: intervals and verdicts are about it alone, "
            "and narrower than those of a study in which it follows the seed."
        )
