"""Files whose classes are the folders that they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fgtune.arrays import IntArray
from fgtune.data.base import Dataset, Inputs
from fgtune.data.labels import nfc
from fgtune.data.readers.data_files import files_in, folders_in
from fgtune.errors import DataError
from fgtune.text import first_of


@dataclass(frozen=True)
class ClassFolders:
    """Files and their classes.

    Attributes:
        names: (N,) of the files, relative to the folder.
        coarse: (N,) int64.
        coarse_names: Of the coarse classes, alphabetically.
        fine: (N,) int64; None where files lie in the coarse folders themselves.
        fine_names: ``COARSE/FINE``; empty without fine classes.
        notes: What was left out.
    """

    names: list[str]
    coarse: IntArray
    coarse_names: tuple[str, ...]
    fine: IntArray | None
    fine_names: tuple[str, ...]
    notes: tuple[str, ...]

    def dataset(self, name: str, inputs: Inputs) -> Dataset:
        """The data set of ``inputs`` with these classes."""
        nested = self.fine is not None
        return Dataset(
            name=name,
            inputs=inputs,
            coarse=self.coarse[:, None],
            num_coarse=(len(self.coarse_names),),
            fine=self.fine,
            num_fine=len(self.fine_names) if nested else None,
            coarse_names=(self.coarse_names,),
            fine_names=self.fine_names if nested else None,
            notes=self.notes,
        )


def class_folders(root: Path, suffixes: tuple[str, ...], what: str, layout: str) -> ClassFolders:
    """Read folders ``COARSE/FINE`` or, where there are no fine ones, ``COARSE``.

    Equal names in two coarse folders are two fine classes.

    Args:
        root: The folder that holds the coarse ones.
        suffixes: How the names of the files that count end, in lower case.
        what: What they are, in words: ``images``.
        layout: What is expected, for messages.

    Raises:
        DataError: There are no files, or some coarse folders have fine ones and others do not.
    """
    parents = folders_in(root)
    direct = {parent: files_in(root / parent, suffixes) for parent in parents}
    inner = {
        parent: {fine: files_in(root / parent / fine, suffixes) for fine in folders_in(root / parent)}
        for parent in parents
    }
    nested = [parent for parent in parents if any(inner[parent].values())]
    notes = _check_depth(root, direct, nested, what)
    names: list[str] = []
    coarse: list[str] = []
    fine: list[str] = []
    for parent in parents:
        for each, files in inner[parent].items():
            names += [f"{parent}/{each}/{file}" for file in files]
            coarse += [nfc(parent)] * len(files)
            fine += [nfc(f"{parent}/{each}")] * len(files)
        if not nested:
            names += [f"{parent}/{file}" for file in direct[parent]]
            coarse += [nfc(parent)] * len(direct[parent])
    if not names:
        rule = f"holds no {what} of {', '.join(suffixes)} in folders COARSE/FINE or COARSE"
        raise DataError(rule, where=str(root), path="trial.data.path", fix=f"Expected layout: {layout}.")
    coarse_names = tuple(dict.fromkeys(map(nfc, parents)))
    fine_names = tuple(dict.fromkeys(nfc(f"{parent}/{each}") for parent in parents for each in inner[parent]))
    return ClassFolders(
        names,
        _numbered(coarse, coarse_names),
        coarse_names,
        _numbered(fine, fine_names) if nested else None,
        fine_names if nested else (),
        notes,
    )


def _numbered(labels: list[str], names: tuple[str, ...]) -> IntArray:
    number = {name: index for index, name in enumerate(names)}
    return np.array([number[label] for label in labels], dtype=np.int64)


def _check_depth(root: Path, direct: Mapping[str, list[str]], nested: Sequence[str], what: str) -> tuple[str, ...]:
    """Warns of files beside the folders of fine classes; raises where a coarse class has nothing else."""
    if not nested:
        return ()
    flat = next((parent for parent, files in direct.items() if files and parent not in nested), None)
    if flat is not None:
        rule = f"{flat} holds {what} itself, and {nested[0]} holds them in folders of fine classes"
        fix = f"Put all {what} into COARSE/FINE, or all into COARSE for coarse labels alone."
        raise DataError(rule, where=str(root), path="trial.data.path", fix=fix)
    beside = [f"{parent}/{file}" for parent, files in direct.items() for file in files]
    if not beside:
        return ()
    return (f"{root}: {what} beside the folders of fine classes are not used: {first_of(beside)}",)
