"""From a stated search space to one that can be searched; everything wrong with it is found before a trial runs.

Besides static checks (unknown paths, circular conditions), points are tried out: a domain that reaches beyond
what its setting allows, a condition that never holds and constraints that exclude everything are found this way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from fgtune.config.reading.explain import explain
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.reading.merge import patch
from fgtune.config.schema.domains import ChoiceDomain
from fgtune.config.schema.objective import ORACLE_WEIGHTS
from fgtune.config.schema.paths import Path, nearest_path, overlap
from fgtune.config.schema.search import SearchDesign
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.spaces.expression import EvaluationError, Expression, parse_expression
from fgtune.config.spaces.space import InfeasibleError, Point, SearchSpace
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.streams import numpy_stream

DRAWS = 200
"""Random points that are tried; of a finite space with no more points than this, all are."""
MORE_DRAWS = 2000
"""Points that are tried before constraints are taken to exclude everything."""
_NUMBER = re.compile(r"[-+]?\d[\d.e+-]*")
_PARAMETERS: Path = ("design", "space", "parameters")
_CONSTRAINTS: Path = ("design", "space", "constraints")

Resolve = Callable[[BaseTrialConfig], BaseTrialConfig]


def build_space(loaded: LoadedStudy, design: SearchDesign, resolve: Resolve) -> SearchSpace:
    """The search space of a study, checked.

    Args:
        loaded: The study.
        design: Its design.
        resolve: Resolves numbers of classes against the data; raises ``ConfigError`` where it cannot.

    Raises:
        ConfigError: Something is wrong with the space, the starting points, or the sampler for this space;
            ``MultiConfigError`` when several things are.
    """
    if not design.space.parameters:
        fix = "give at least one `path: {kind: ..., ...}` below parameters"
        raise loaded.error(_PARAMETERS, "must have at least one parameter", fix)
    MultiConfigError.raise_all(list(_path_errors(loaded, design)))
    conditions, constraints = _expressions(loaded, design)
    order = _ordered(loaded, design, conditions)
    space = SearchSpace(
        parameters={path: design.space.parameters[path] for path in order},
        conditions=conditions,
        constraints=constraints,
        trial=loaded.raw["trial"],
        base=loaded.study.trial,
        resolve=resolve,
    )
    _try_out(loaded, design, space)
    _check_sampler(loaded, design, space)
    _check_start(loaded, design, space)
    return space


def _path_errors(loaded: LoadedStudy, design: SearchDesign) -> Iterator[ConfigError]:
    """Parameters that no trial has, that lie within each other, or that must not be searched."""
    known = loaded.study.trial.paths()
    paths = list(design.space.parameters)
    for path in paths:
        place: Path = (*_PARAMETERS, path)
        inside = [other for other in paths if other.startswith(f"{path}.") and _reaches(design, path, other)]
        if path not in known:
            near = nearest_path(path, known)
            fix = f"did you mean {near!r}?" if near else "`fgtune schema` prints all settings"
            yield loaded.error(place, "no such setting in trial", fix)
        elif path.removeprefix("objective.") in ORACLE_WEIGHTS and not design.oracle:
            fix = "say `oracle: true`, or leave it out"
            yield loaded.error(place, "trains on fine labels, which a search without `oracle` must not", fix)
        elif path.split(".")[0] == "data":
            yield loaded.error(place, "the data must be the same in every trial", "compare data sets by a comparison")
        elif inside:
            fix = "give one of them choices that are mappings, or search only the inner settings"
            yield loaded.error(place, f"parameters must not overlap, {inside[0]} lies within this one", fix)


def _reaches(design: SearchDesign, path: str, inner: str) -> bool:
    """Whether the outer parameter may set the inner one; choices of partial mappings keep the rest of a section."""
    domain = design.space.parameters[path]
    if not isinstance(domain, ChoiceDomain):
        return True
    key = inner[len(path) + 1 :].partition(".")[0]
    return any(not isinstance(value, dict) or "kind" in value or key in value for value in domain.values)


def _expressions(loaded: LoadedStudy, design: SearchDesign) -> tuple[dict[str, Expression], tuple[Expression, ...]]:
    """Conditions and constraints, parsed, with known names only."""
    errors: list[ConfigError] = []
    known = loaded.study.trial.paths()

    def parsed(text: str, place: Path) -> Expression | None:
        try:
            expression = parse_expression(text)
        except ConfigError as error:
            errors.append(loaded.located(error, place))
            return None
        for name in expression.names:
            if name not in known:
                near = nearest_path(name, known)
                fix = f"did you mean {near!r}?" if near else "put text in quotes"
                errors.append(loaded.error(place, f"{name!r} is not a setting of a trial", fix, value=text))
        return expression

    conditions = {}
    for path, domain in design.space.parameters.items():
        condition = None if domain.when is None else parsed(domain.when, (*_PARAMETERS, path, "when"))
        if condition is not None:
            conditions[path] = condition
    constraints = [parsed(text, (*_CONSTRAINTS, rank)) for rank, text in enumerate(design.space.constraints)]
    MultiConfigError.raise_all(errors)
    return conditions, tuple(each for each in constraints if each is not None)


def _ordered(loaded: LoadedStudy, design: SearchDesign, conditions: dict[str, Expression]) -> list[str]:
    """The parameters, each after those that its condition depends on; otherwise in the order of the file."""
    order: list[str] = []
    open_paths: list[str] = []

    def visit(path: str) -> None:
        if path in order:
            return
        if path in open_paths:
            circle = " -> ".join([*open_paths[open_paths.index(path) :], path])
            place: Path = (*_PARAMETERS, path, "when")
            raise loaded.error(place, f"conditions must not be circular ({circle})", "drop one of the conditions")
        open_paths.append(path)
        for name in conditions[path].names if path in conditions else ():
            for other in design.space.parameters:
                if overlap(name, other):
                    visit(other)
        open_paths.pop()
        order.append(path)

    for path in design.space.parameters:
        visit(path)
    return order


def _try_out(loaded: LoadedStudy, design: SearchDesign, space: SearchSpace) -> None:
    """Try points until it is clear that the space is sound; raise for what is wrong with it."""
    reasons: Counter[int | str] = Counter()
    seen: set[str] = set()
    feasible: list[Point] = []
    finite = space.max_size is not None and space.max_size <= MORE_DRAWS
    rng = numpy_stream(0, "probe")
    for rank, point in enumerate(_tried(loaded, space, rng, finite=finite)):
        if rank >= (MORE_DRAWS if finite or not feasible else DRAWS):
            break
        seen |= point.keys()
        try:
            config = space.config(point)
        except InfeasibleError as error:
            _blame_domain(loaded, space, point, error)
            if isinstance(error.__cause__, EvaluationError) and error.constraint is not None:
                cause = error.__cause__
                raise loaded.error((*_CONSTRAINTS, error.constraint), cause.rule, cause.fix) from error
            reasons[_NUMBER.sub("..", str(error)) if error.constraint is None else error.constraint] += 1
        else:
            feasible.append(point)
            if not design.oracle and _reads_fine_labels(config) and not _reads_fine_labels(space.base):
                raise _reads_error(loaded, space, point)
    if not feasible:
        raise _nothing_left(loaded, space, reasons)
    for path in space.parameters:
        if path not in seen:
            place: Path = (*_PARAMETERS, path, "when")
            text, fix = space.conditions[path].text, "check the values that it compares with"
            raise loaded.error(place, "holds in no point of the space", fix, value=text)
    for point in _ends(space, feasible):
        try:
            space.config(point)
        except InfeasibleError as error:
            _blame_domain(loaded, space, point, error)


def _reads_fine_labels(config: BaseTrialConfig) -> bool:
    """Whether a trial trains on fine labels or is given the true relations."""
    own = config.discovery
    return own is not None and (bool(own.objective.oracle_weights) or own.relations.mode == "oracle")


def _reads_error(loaded: LoadedStudy, space: SearchSpace, point: Point) -> ConfigError:
    """The error of a point that reads fine labels, at the parameter that makes it, or the last one that might."""
    blamed = [path for path in point if path.partition(".")[0] in {"objective", "relations"}]
    for path in blamed:
        try:
            if _reads_fine_labels(space.config({path: point[path]})):
                blamed.append(path)
                break
        except (InfeasibleError, EvaluationError):
            continue
    rule, fix = "reads fine labels, which a search without `oracle` must not", "say `oracle: true`, or leave it out"
    return loaded.error((*_PARAMETERS, blamed[-1]), rule, fix, value=point[blamed[-1]])


def _tried(loaded: LoadedStudy, space: SearchSpace, rng: np.random.Generator, *, finite: bool) -> Iterator[Point]:
    try:
        if finite:
            yield from space.points()
        else:
            while True:
                yield space.draw(rng)
    except EvaluationError as error:
        at = next(path for path, each in space.conditions.items() if f"`{each.text}`" in str(error))
        raise loaded.error((*_PARAMETERS, at, "when"), error.rule, error.fix) from error


def _ends(space: SearchSpace, feasible: list[Point]) -> Iterator[Point]:
    """For every parameter, a feasible point moved to either end of its domain; newly active parameters are midway."""
    for end in space.parameters:
        around = next((point for point in feasible if end in point), {})
        for share in (0.0, 1.0):
            moved = {**around, end: space.parameters[end].at(share)}
            yield space.walk(lambda path, domain, moved=moved: moved[path] if path in moved else domain.at(0.5))  # type: ignore[misc]


def _blame_domain(loaded: LoadedStudy, space: SearchSpace, point: Point, error: InfeasibleError) -> None:
    """Raise when a value of the point is not allowed at its path whatever the other values are."""
    if error.validation is None:
        return
    plain, model = patch(space.trial, point, type(space.base)), type(space.base)
    for found in explain(error.validation, plain, model, loaded.origins):
        for path in point:
            if found.path == path and found.rule == "unknown key":
                section = path.rpartition(".")[0]
                fix = f"add `when:` with the kinds of {section} that have it"
                raise loaded.error((*_PARAMETERS, path), "does not exist in every point of the space", fix)
            if found.has_value and (found.path == path or found.path.startswith((f"{path}.", f"{path}["))):
                raise loaded.error((*_PARAMETERS, path), found.rule, found.fix, value=found.value)


def _nothing_left(loaded: LoadedStudy, space: SearchSpace, reasons: Counter[int | str]) -> ConfigError:
    """The error for a space without a feasible point, placed at what excludes most of it."""
    reason, count = reasons.most_common(1)[0]
    tried = reasons.total()
    what = f"every one of the {tried} points" if space.max_size == tried else f"each of {tried} points tried"
    if isinstance(reason, int):
        rule = f"constraints must leave something of the space; {what} breaks one, {count} break this one"
        return loaded.error((*_CONSTRAINTS, reason), rule, "loosen it", value=space.constraints[reason].text)
    return loaded.error(("design", "space"), f"{what} is no valid trial, {count} of them because {reason}")


def _check_sampler(loaded: LoadedStudy, design: SearchDesign, space: SearchSpace) -> None:
    """Raise when the sampler does not support this space."""
    sampler = design.sampler.kind
    choices = [path for path, domain in space.parameters.items() if domain.kind == "choice"]
    endless = [path for path, domain in space.parameters.items() if domain.size is None]
    lacking = ""
    if sampler in {"cmaes", "qmc"} and space.conditions:
        lacking = f"cannot do conditions, {next(iter(space.conditions))} has one"
    elif sampler == "cmaes" and choices:
        lacking = f"cannot do choices, {choices[0]} is one"
    elif sampler == "cmaes" and len(space.parameters) < 2:
        lacking = "needs two parameters or more"
    elif sampler == "brute_force" and endless:
        lacking = f"needs a finite space, {endless[0]} has no end of values"
    if lacking:
        raise loaded.error(("design", "sampler"), f"{sampler} {lacking}", "use tpe, gp, nsga2 or random")


def _check_start(loaded: LoadedStudy, design: SearchDesign, space: SearchSpace) -> None:
    """Raise for a starting point that is not in the space."""
    errors = []
    for rank, values in enumerate(design.start):
        for path, value in values.items():
            place: Path = ("design", "start", rank, path)
            if path not in space.parameters:
                near = nearest_path(path, space.parameters)
                fix = f"did you mean {near!r}?" if near else ""
                errors.append(loaded.error(place, "is not a parameter of the space", fix))
                continue
            try:
                space.parameters[path].canonical(value)
            except LookupError:
                domain = {key: each for key, each in space.parameters[path].to_plain().items() if key != "when"}
                errors.append(loaded.error(place, f"must be in its domain {domain}", value=value))
        if values.keys() >= space.parameters.keys():
            try:
                space.config(space.walk(lambda path, _, values=values: values[path]))  # type: ignore[misc]
            except InfeasibleError as error:
                errors.append(loaded.error(("design", "start", rank), f"is not feasible: {error}"))
    MultiConfigError.raise_all(errors)
