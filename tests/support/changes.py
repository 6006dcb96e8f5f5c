"""The changes of docs/verify.md, made to a study folder by who wishes for a better result, or by a disk that rots.

Every change of the ledger closes its chain again, so that what finds it is not the chain.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Line = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """A change.

    Attributes:
        name: As in the table of the documentation.
        make: Applies it to a folder.
        found: Part of the problem that names it, a regular expression.
        by_report: Whether nothing but the report shows it.
        by_tables: Whether nothing but the tables shows it, and the report.
    """

    name: str
    make: Callable[[Path], object]
    found: str
    by_report: bool = False
    by_tables: bool = False

    @property
    def survives(self) -> bool:
        """Whether it is found, too, once ``fgtune report`` has made tables and report anew."""
        return not self.by_report and not self.by_tables


# --- tools ---------------------------------------------------------------------------------------------------------


def read_lines(root: Path) -> list[Line]:
    """The ledger's lines, without their chain."""
    lines = [json.loads(line) for line in (root / "results.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "previous"} for line in lines]


def write_lines(root: Path, lines: list[Line]) -> None:
    """A ledger of these lines with a chain that holds."""
    previous, content = hashlib.sha256(b"").hexdigest(), b""
    for line in lines:
        text = json.dumps({**line, "previous": previous}).encode()
        previous, content = hashlib.sha256(text).hexdigest(), content + text + b"\n"
    (root / "results.jsonl").write_bytes(content)


def ledger(edit: Callable[[list[Line]], object]) -> Callable[[Path], None]:
    """A change of the ledger whose chain is closed again."""

    def change(root: Path) -> None:
        lines = read_lines(root)
        write_lines(root, edit(lines) or lines)

    return change


def line(number: int, **values: Any) -> Callable[[Path], None]:
    """A change of some fields of a line; a callable gets the old value."""

    def edit(lines: list[Line]) -> None:
        for key, value in values.items():
            lines[number][key] = value(lines[number][key]) if callable(value) else value

    return ledger(edit)


def text(file: str, pattern: str, new: str) -> Callable[[Path], None]:
    """The first match of a regular expression in a file replaced."""

    def change(root: Path) -> None:
        before = (root / file).read_text(encoding="utf-8")
        after = re.sub(pattern, new, before, count=1, flags=re.DOTALL)
        assert after != before, f"{pattern} is not in {file}"
        (root / file).write_text(after, encoding="utf-8")

    return change


def raw_lines(edit: Callable[[list[bytes]], list[bytes]], file: str = "results.jsonl") -> Callable[[Path], None]:
    """A change of the lines of a file as they stand."""

    def change(root: Path) -> None:
        (root / file).write_bytes(b"".join(edit((root / file).read_bytes().splitlines(keepends=True))))

    return change


def curves(edit: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Callable[[Path], None]:
    """A change of the gathered curves."""

    def change(root: Path) -> None:
        table = pd.read_parquet(root / "curves.parquet")
        changed = edit(table)
        (table if changed is None else changed).to_parquet(root / "curves.parquet", index=False)

    return change


def relations(edit: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    """A change of the arrays of a cell's relations."""

    def change(root: Path) -> None:
        path = first_relations(root)
        with np.load(path) as stored:
            arrays = dict(stored)
        edit(arrays)
        np.savez_compressed(path, **arrays)

    return change


def first_relations(root: Path) -> Path:
    """The relations of the first complete cell."""
    return root / "relations" / f"{read_lines(root)[0]['cell_id']}.npz"


def remove(file: str) -> Callable[[Path], None]:
    """A file that is gone."""
    return lambda root: (root / file).unlink()


def provenance(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A change of the provenance."""

    def change(root: Path) -> None:
        record = json.loads((root / "provenance.json").read_text())
        edit(record)
        (root / "provenance.json").write_text(json.dumps(record, indent=2) + "\n")

    return change


# --- what people and disks do --------------------------------------------------------------------------------------


def _better(lines: list[Line]) -> None:
    lines[0]["metrics"]["test/clustering_accuracy"] = 0.99


def _label_free(lines: list[Line]) -> None:
    lines[0]["metrics"]["val/silhouette"] += 0.1


def _without_metric(lines: list[Line]) -> None:
    del lines[0]["metrics"]["test/ari"]


def _saved(lines: list[Line]) -> None:
    """The failed cell is given the result of another."""
    failed = next(line for line in reversed(lines) if line["state"] == "FAIL")
    other = next(line for line in lines if line["state"] == "COMPLETE" and line["arm"] == failed["arm"])
    failed.update({key: other[key] for key in ("state", "metrics", "epochs", "cause", "solver")})


def _crashed(lines: list[Line]) -> None:
    """A bad seed is said to have crashed."""
    lines[0].update(state="FAIL", metrics={}, cause="TrialError: the loss is nan")


def _replaced(lines: list[Line]) -> list[Line]:
    """A complete cell is recorded once more with another result."""
    return [*lines, lines[0] | {"metrics": {**lines[0]["metrics"], "train/loss": 0.1}}]


def _no_retry(lines: list[Line]) -> list[Line]:
    """The line of a failure before the retry is taken out."""
    place = next(rank for rank, line in enumerate(lines) if line["state"] == "FAIL")
    return [*lines[:place], *lines[place + 1 :]]


def _swapped_arms(lines: list[Line]) -> None:
    """The arms of a block change places; ids and configs stay."""
    one, two = lines[0], next(each for each in lines if each["seed"] == 0 and each["arm"] != lines[0]["arm"])
    for key in ("arm", "levels"):
        one[key], two[key] = two[key], one[key]


def _foreign(lines: list[Line]) -> list[Line]:
    """A cell with a seed that nobody planned, under an id that is right."""
    from fgtune.config.arms.records import cell_id_of
    from fgtune.config.schema.trial import TrialConfig

    config = TrialConfig.from_plain(lines[0]["config"])
    return [*lines, lines[0] | {"seed": 77, "cell_id": cell_id_of(config.identity(), 77)}]


def _flip(root: Path) -> None:
    """One bit of the ledger turned over."""
    path = root / "results.jsonl"
    content = bytearray(path.read_bytes())
    content[content.index(b'"metrics"') + 40] ^= 1
    path.write_bytes(content)


def _unchained(root: Path) -> None:
    """The chain taken off, as if an earlier version had written the ledger."""
    (root / "results.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in read_lines(root)))


def _torn(root: Path) -> None:
    path = root / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-30])


def _half_file(root: Path) -> None:
    path = first_relations(root)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _other_array(root: Path) -> None:
    """An archive whose members are no arrays of this cell."""
    path = first_relations(root)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fine_to_coarse.npy", b"junk")


def _permuted(arrays: dict[str, np.ndarray]) -> None:
    """The predicted classes are matched better with the true ones; all totals stay."""
    counts = arrays["fine_counts"]
    arrays["fine_counts"] = np.sort(counts, axis=0)


def _other_labels(arrays: dict[str, np.ndarray]) -> None:
    """The cell is judged with other true labels, in a way that leaves its metrics as they are."""
    for key in ("fine_counts", "true_fine_to_coarse"):
        arrays[key] = arrays[key][:, ::-1]


def _last_epoch(table: pd.DataFrame) -> None:
    table.loc[table["epoch"] == 3, "val/silhouette"] += 0.1


def _without_cell(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["cell_id"] != table["cell_id"].iloc[0]]


def _without_epoch(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(index=table[table["epoch"] == 2].index[0])


def _smoothed(table: pd.DataFrame) -> None:
    table.loc[table["epoch"] == 2, "test/clustering_accuracy"] += 0.05


def _parquet(root: Path) -> None:
    table = pd.read_parquet(root / "results.parquet")
    table.loc[0, "test/ged"] = 0.0
    table.to_parquet(root / "results.parquet", index=False)


def _clean(record: dict[str, Any]) -> None:
    """The uncommitted changes of the code are hidden."""
    record["git"] = {"commit": "0" * 40, "dirty": False, "diff_hash": None, "untracked": 0}


def _traceback(root: Path) -> None:
    next((root / "failures").iterdir()).write_text("Killed.")


def _cheaper(lines: list[Line]) -> None:
    lines[0]["solver"]["seconds"] /= 2


def _other_setting(lines: list[Line]) -> None:
    lines[0]["config"]["optimizer"]["lr"] = 0.5


CHANGES = (
    # The ledger.
    Change("the primary metric of a cell is raised", ledger(_better), r"test/clustering_accuracy is 0.99, its counts"),
    Change("a label-free metric of a cell is raised", ledger(_label_free), r"val/silhouette ends at"),
    Change("a metric is taken out of a line", ledger(_without_metric), r"its counts give ari on test"),
    Change("a failed cell is given the result of another", ledger(_saved), r"relations/.*: is missing"),
    Change("a bad seed is said to have crashed", ledger(_crashed), r"is of no complete cell in the ledger"),
    Change("the line of a bad seed is taken out", ledger(lambda lines: lines[1:]), r"a curve and no line in the"),
    Change("a complete cell is recorded again, better", ledger(_replaced), r"replaces a result .* had not failed"),
    Change("the failure before a retry is taken out", ledger(_no_retry), r"failures/.*no line of this cell"),
    Change("a cell gets another seed", line(0, seed=7), r"its config and seed do not have this id"),
    Change("a setting of a finished cell is changed", ledger(_other_setting), r"its config does not have the hash"),
    Change("two arms of a block change places", ledger(_swapped_arms), r"was planned as"),
    Change("the level of an arm is changed", line(0, levels={"classes.num_fine_ratio": 9.0}), r"= 9.0, plan.csv says"),
    Change("a cell is said to have been quicker", line(0, seconds=lambda s: s / 2), r"the epochs of the curve took"),
    Change("a cell's solver is said to have been quicker", ledger(_cheaper), r"results.csv: is not the table",
           by_tables=True),
    Change("the cause of a failure is put more kindly", line(-1, cause="stopped by hand"), r"results.csv: is not the",
           by_tables=True),
    Change("a cell that nobody planned is added", ledger(_foreign), r"is not in the plan"),
    Change("a line is edited without any number", raw_lines(lambda each: [each[0].replace(b": ", b":", 1), *each[1:]]),
           r"line 2 does not follow"),
    Change("two lines change places", raw_lines(lambda each: [each[1], each[0], *each[2:]]), r"line 1 does not follow"),
    Change("the chain is taken off", _unchained, r"carry no hash of the line before, and provenance.json says 0"),
    Change("the last line is torn", _torn, r"a curve and no line in the ledger"),
    Change("a bit of the ledger is turned over", _flip, r"results.jsonl"),
    Change("the traceback of a failure is rewritten", _traceback, r"failures/.*: is not the traceback that was"),
    # Plan, study, provenance.
    Change("a planned cell is taken out", raw_lines(lambda each: each[:-1], "plan.csv"), r"plan.csv: arm .* has"),
    Change("a planned cell stands twice", raw_lines(lambda all_: [*all_, all_[-1]], "plan.csv"), r"plan.csv: arm"),
    Change("the margin is widened in the resolved study", text("study.resolved.yaml", r"equivalence_margin: [0-9.]+",
           "equivalence_margin: 0.2"), r"the study hash is .*, study and data give"),
    Change("the question is rewritten afterwards", text("study.yaml", "Does the number", "Does any number"),
           r"study.yaml: differs from the study in provenance.json in question"),
    Change("the copy of the study is changed", provenance(lambda record: record["given"].update(seeds=2)),
           r"study.resolved.yaml: differs from the study in provenance.json in seeds"),
    Change("uncommitted code is hidden", provenance(_clean), r"report.html: is not the page", by_report=True),
    Change("the provenance is removed", remove("provenance.json"), r"provenance.json: is missing"),
    # Curves, relations, tables.
    Change("the end of a curve is changed", curves(_last_epoch), r"curves.parquet: .*val/silhouette ends at"),
    Change("a curve is smoothed before its end", curves(_smoothed), r"curves.parquet: .*does not have the digest"),
    Change("the curve of a cell is taken out", curves(_without_cell), r"curves.parquet: .* has no curve"),
    Change("an epoch is taken out of a curve", curves(_without_epoch), r"each of the epochs 1 to 3 once"),
    Change("the curves are removed", remove("curves.parquet"), r"curves.parquet: is missing"),
    Change("counts are made to match the truth better", relations(_permuted), r"relations/.*its counts give"),
    Change("a cell is judged by other labels", relations(_other_labels), r"over other samples or labels than"),
    Change("half of a relations file is lost", _half_file, r"relations/.*cannot be read as relations"),
    Change("a relations file holds junk", _other_array, r"relations/.*cannot be read as relations"),
    Change("a number in the table is changed", text("results.csv", r"baseline,(.*?)COMPLETE", r"baseline,\1FAIL"),
           r"results.csv: is not the table", by_tables=True),
    Change("a number in the Parquet table is changed", _parquet, r"results.parquet: is not the table", by_tables=True),
    # The report.
    Change("the headline is rewritten", text("report.html", r'(<p class="headline">)[^<]*', r"\1More classes help."),
           r"report.html: is not the page", by_report=True),
    Change("a verdict in the report is changed", text("report.html", r'"verdict":"\w+"', '"verdict":"helps"'),
           r"report.html: its numbers are not those", by_report=True),
    Change("a point of a figure is moved", text("report.html", r'("y":\[)', r"\g<1>0.5,"),
           r"report.html: is not the page", by_report=True),
    Change("the report is removed", remove("report.html"), r"report.html: is missing", by_report=True),
    # The answer for programs.
    Change("a verdict for programs is changed", text("verdicts.json", r'"verdict": "\w+"', '"verdict": "helps"'),
           r"verdicts.json: is not what the folder gives", by_report=True),
    Change("the verdicts for programs are removed", remove("verdicts.json"), r"verdicts.json: is missing",
           by_report=True),
)  # fmt: skip
