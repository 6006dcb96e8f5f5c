"""The cases of ``hostile.py``: which verbs each hostile input goes to, and what each may end with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forked import forked
from support import hostile, hostile_calls, hostile_data, hostile_folder, hostile_models, hostile_tables

STARTS_RAY = 99
"""The exit code of what would start Ray, had it not been told to end there."""
REFUSED = frozenset({2})
LARGE = frozenset({0, STARTS_RAY})
READ = frozenset({0, 1, 2, 3, STARTS_RAY})
ODD = frozenset({0, 2, 3, STARTS_RAY})
PREDICTED = frozenset({0, 2})
RUN = ("--smoke", "--tracking-uri", "none", "--out", "out")
MOST_CPU = 600.0
"""Seconds of CPU in which an input, or a good folder and model, is made."""

Wanted = Callable[[str], bool]
"""Whether an input of this name is to be tried."""


@dataclass(frozen=True)
class Case:
    """One input under one verb.

    Attributes:
        name: ``corpus/input``.
        verb: The verb, for the table.
        arguments: Of the command line.
        codes: Exit codes that are right.
        writes: Names below the working directory that may be new or changed.
        variables: Of the environment; None for one that is not set.
    """

    name: str
    verb: str
    arguments: Sequence[str]
    codes: frozenset[int] = REFUSED
    writes: tuple[str, ...] = ()
    variables: Mapping[str, str | None] = field(default_factory=dict)


def study_cases(folder: Path, wanted: Wanted) -> Iterator[Case]:
    """Study files, floods, options and sizes."""
    files = [(name, content, ("validate", "run", "pretrain")) for name, content in hostile.texts()]
    files += [(name, text.encode(), ("validate",)) for name, text in hostile.floods().items()]
    for name, content, verbs in files:
        if wanted(f"study/{name}"):
            (folder / "bad.yaml").write_bytes(content)
            for verb in verbs:
                yield Case(f"study/{name}", verb, [verb, "bad.yaml", *(RUN if verb == "run" else ())])
            (folder / "bad.yaml").unlink()
    options = [(name, chosen, REFUSED) for name, chosen in (*hostile.values(), *hostile.sizes())]
    options += [(f"--set {name}", (text,), ODD) for name, text in hostile_calls.PATHS.items()]
    write_study(folder)
    for name, texts, codes in options:
        if wanted(f"options/{name}") and not any("\x00" in text for text in texts):
            chosen = [part for text in texts for part in ("--set", text)]
            for verb in ("validate", "plan", "run") if codes is ODD else ("validate", "run"):
                yield Case(f"options/{name}", verb, [verb, "s.yaml", *chosen, *(RUN if verb == "run" else ())], codes)


def write_study(folder: Path) -> None:
    """The valid study."""
    (folder / "s.yaml").write_text(hostile.STUDY, encoding="utf-8")


def call_cases(folder: Path, wanted: Wanted, good: Path) -> Iterator[Case]:
    """Code beside a study that nobody permits, and variables of the environment."""
    (folder / "evil.py").write_text(hostile_calls.MODULE, encoding="utf-8")
    for name, text in hostile_calls.CALLS.items():
        if wanted(f"code/{name}"):
            (folder / "f.yaml").write_text(text, encoding="utf-8")
            for verb, more in {"validate": (), "plan": (), "data check": (), "run": RUN, "pretrain": ()}.items():
                yield Case(f"code/{name}", verb, [*verb.split(), "f.yaml", *more])
    write_study(folder)
    for part in ("trial.data", "trial.model.backbone", "trial.relations.solver"):
        if wanted(f"code/{part}"):
            chosen = ("--set", f"{part}={{kind: 'evil:run'}}")
            for verb, more in {"validate": (), "plan": (), "run": RUN, "data check": ()}.items():
                codes = ODD if verb == "data check" and part != "trial.data" else REFUSED  # which looks at nothing else
                yield Case(f"code/{part}", verb, [*verb.split(), "s.yaml", *chosen, *more], codes)
    (folder / "evil.py").unlink()
    chosen = ("--smoke", "--out", "out")
    verbs = {
        "validate": ["validate", "s.yaml"],
        "plan": ["plan", "s.yaml"],
        "run": ["run", "s.yaml", *chosen],
        "data check": ["data", "check", "s.yaml"],
        "status": ["status", str(good)],
        "compare": ["compare", str(good), str(good)],
    }
    for name, variables in hostile_calls.ENVIRONMENTS.items():
        if wanted(f"variables/{name}"):
            for verb, arguments in verbs.items():
                yield Case(f"variables/{name}", verb, arguments, READ, ("mlflow.db", "mlruns"), variables)


def data_cases(folder: Path, wanted: Wanted, model: Path) -> Iterator[Case]:
    """Data files under everything that reads data."""
    write_study(folder)
    corpora = [(kind, corpus, REFUSED) for kind, corpus in hostile_data.CORPORA.items()]
    corpora += [(kind, corpus, ODD) for kind, corpus in hostile_data.SOUND.items()]
    corpora += [("tables", hostile_tables.LARGE_TABLES, LARGE)]
    for kind, corpus, codes in corpora:
        for name, make in corpus.items():
            if wanted(f"{kind}/{name}"):
                build(make, folder / name)
                yield from _of_file(kind, name, folder / name, codes, model)
                remove(folder / name)


def _of_file(kind: str, name: str, path: Path, codes: frozenset[int], model: Path) -> Iterator[Case]:
    """What reads one file or folder of data."""
    label = f"{kind}/{name}"
    chosen = ["--set", f"trial.data={json.dumps(hostile_data.config_of(kind, path))}"]
    is_image = kind in {"images", "listed"}
    if is_image:
        chosen += ["--set", "trial.model.backbone={kind: small_cnn}"]
    if codes is not REFUSED:  # they have no fine classes
        chosen += ["--set", "trial.classes={num_fine: 4}", "--set", "metrics={primary: test/fixed_silhouette}"]
    yield Case(label, "validate", ["validate", "s.yaml", *chosen], codes)
    yield Case(label, "run --smoke", ["run", "s.yaml", *chosen, *RUN], codes)
    yield Case(label, "data check", ["data", "check", "s.yaml", *chosen], codes)
    if codes is LARGE or name in hostile_tables.MANY_ROWS:  # what trains on it takes its time
        return
    yield Case(label, "pretrain STUDY", ["pretrain", "s.yaml", *chosen], codes, ("encoder.pt",))
    # A folder in which a table is at fault is one of images and their folders to a verb that is told of no table.
    discovered = ODD if kind == "listed" else codes
    column = [] if kind == "arrays" or is_image else ["--coarse", "coarse"]
    yield Case(label, "discover", ["discover", name, *column, "--minutes", "1", "--out", "out"], discovered, ("out",))
    if kind == "arrays":  # these read the inputs alone, which are good where the labels are not
        yield Case(label, "pretrain FILE", ["pretrain", name], PREDICTED, ("encoder.pt",))
        yield Case(label, "data convert", ["data", "convert", name], PREDICTED)
    if kind in {"arrays", "tables"}:
        yield Case(label, "predict", ["predict", str(model), name], PREDICTED, ("predictions.parquet",))
    if kind == "tables":
        yield Case(label, "import", ["import", name, *JUDGED])


def weights_cases(folder: Path, wanted: Wanted) -> Iterator[Case]:
    """Files of weights that a study names, without and with the digest that it states."""
    write_study(folder)
    for name, make in hostile_models.WEIGHTS.items():
        if wanted(f"weights/{name}"):
            build(make, folder / name)
            for stated in ({}, {"sha256": "0" * 64}):
                weights = json.dumps({"path": name, **stated})
                chosen = ["--set", f"trial.model.weights={weights}"]
                more = " sha256" * bool(stated)
                yield Case(f"weights/{name}", f"validate{more}", ["validate", "s.yaml", *chosen])
                yield Case(f"weights/{name}", f"run{more}", ["run", "s.yaml", *chosen, *RUN])
            remove(folder / name)


JUDGED = ("--primary", "score", "--direction", "maximize", "--baseline", "a", "--out", "out")


def runs_cases(folder: Path, wanted: Wanted) -> Iterator[Case]:
    """Tables of runs from elsewhere."""
    for corpus, codes in ((hostile_folder.RUNS, REFUSED), (hostile_folder.SOUND_RUNS, PREDICTED)):
        for name, make in corpus.items():
            if wanted(f"runs/{name}"):
                build(make, folder / name)
                yield Case(f"runs/{name}", "import", ["import", name, *JUDGED], codes, ("out",))
                remove(folder / name)


MOST_READ = {"results.jsonl", "plan.csv", "study.resolved.yaml", "provenance.json"}
"""Files that every verb reads."""


def folder_cases(folder: Path, wanted: Wanted, good: Path) -> Iterator[Case]:
    """Study folders of which one file means harm, under everything that reads a folder."""
    study = str(good.parent.parent / "real.yaml")
    some = {
        "status": ["status", "real"],
        "verify": ["verify", "real", "--no-data"],
        "report": ["report", "real"],
        "export": ["export", "real", "--format", "predictions", "--out", "x.csv"],
        "run": ["run", study, "--out", ".", "--tracking-uri", "none"],
    }
    others = {
        "refit": ["refit", "real", "--out", "model", "--tracking-uri", "none"],
        "power": ["power", "real"],
        "compare": ["compare", "real", str(good)],
        "compare --html": ["compare", "real", str(good), "--html", "page.html"],
        "extend": ["extend", "real", "--seeds", "4", "--tracking-uri", "none"],
        "export --figures": ["export", "real", "--figures", "png", "--out", "figures"],
        "verify --rerun": ["verify", "real", "--rerun", "1", "--seed", "0"],
    }
    written = ("real", "model", "model.lock", "x.csv", "page.html", "figures")
    (folder / "evil.py").write_text(hostile_calls.MODULE, encoding="utf-8")
    for pattern, corpus in hostile_folder.FOLDER.items():
        for name, make in corpus.items():
            label = f"folder/{pattern}: {name}"
            if not wanted(label):
                continue
            kept = folder / "kept"
            shutil.copytree(good, kept)
            build(hostile_folder.put, hostile_folder.place(kept, pattern), make)
            # A large file is linked and not copied; `run` writes its own record into a lock.
            may_write = (*written, "kept") if pattern == ".lock" else written
            for verb, arguments in (some | others if pattern in MOST_READ else some).items():
                copy_odd(kept, folder / "real")
                yield Case(label, verb, arguments, READ, may_write)
                for each in written:
                    remove(folder / each)
            remove(kept)
    (folder / "evil.py").unlink()


def model_cases(folder: Path, wanted: Wanted, model: Path) -> Iterator[Case]:
    """Model folders of which one file means harm."""
    data = str(model.parent / "data.npz")
    for pattern, corpus in hostile_folder.MODEL.items():
        for name, make in corpus.items():
            label = f"model/{pattern}: {name}"
            if wanted(label):
                shutil.copytree(model, folder / "model")
                build(hostile_folder.put, folder / "model" / pattern, make)
                hostile_folder.sign(folder / "model", pattern)
                yield Case(label, "predict", ["predict", "model", data], REFUSED, ("predictions.parquet",))
                remove(folder / "model")


def build(make: Callable[..., object], *arguments: object) -> None:
    """Make an input in a process of its own: what that takes would else count as memory of every case that follows."""

    def work() -> int:
        make(*arguments)
        return 0

    _, state = os.waitpid(forked(work, MOST_CPU), 0)
    if state:
        raise RuntimeError(f"an input could not be made: {arguments[0]}")


def copy_odd(source: Path, target: Path) -> None:
    """Copy a folder with links, pipes and holes as they are."""
    target.mkdir()
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        if path.is_symlink():
            there.symlink_to(path.readlink())
        elif path.is_dir():
            there.mkdir()
        elif path.is_fifo():
            os.mkfifo(there)
        elif path.stat().st_size > 10**7:
            os.link(path, there)
        else:
            shutil.copy(path, there)


def remove(path: Path) -> None:
    """Remove whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
