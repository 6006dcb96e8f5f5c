"""Memory and time of Recall@k in blocks, against the full similarity matrix and its argsort of the published code.

    python benchmarks/recall.py --samples 50000 --rival-samples 8000 --dim 512

Each measurement runs in a process of its own; memory is the peak of its resident set above what it holds with the
features in place, both from the kernel (Linux). The rival needs 16 bytes a pair of samples, 40 GB for 50,000, so the
two are compared on fewer samples; both must agree there. A ratio above 1: the rival takes more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

KS = (1, 2, 4, 8)
CLASSES = 100


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Recall@k: blocks against the full matrix.")
    parser.add_argument("--samples", type=int, default=50_000, help="queries of the blocked search (default: 50000)")
    parser.add_argument("--rival-samples", type=int, default=8_000, help="queries of the comparison (default: 8000)")
    parser.add_argument("--dim", type=int, default=512, help="features a sample (default: 512)")
    parser.add_argument("--limit-mb", type=float, default=1000.0, help="fail above this much memory (default: 1000)")
    parser.add_argument("--measure", choices=("blocks", "naive"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if min(arguments.samples, arguments.rival_samples) < 2 or arguments.dim < 1:
        parser.error("at least 2 samples and 1 feature are needed")
    return arguments


def make_sample(samples: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, dim) float32 around weak class centres, and labels (n,)."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, samples)
    features = rng.standard_normal((samples, dim), dtype=np.float32)
    centers = rng.standard_normal((CLASSES, dim), dtype=np.float32)
    for start in range(0, samples, 1000):  # no second array of that size, whose memory could be reused
        features[start : start + 1000] += 0.25 * centers[labels[start : start + 1000]]
    return features, labels


def naive(features: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """The published way: all similarities, all ranks."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    order = np.argsort(-similarity, axis=1)[:, : max(KS)]
    hits = labels[order] == labels[:, None]
    return {k: float(hits[:, :k].any(axis=1).mean()) for k in KS}


def resident_mb(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure_here(way: str, samples: int, dim: int) -> None:
    """Print seconds, megabytes and values of one way as JSON."""
    from fgtune.metrics.retrieval import recall_at_k

    recall_at_k(*make_sample(50, dim), KS)  # imports and thread pools
    features, labels = make_sample(samples, dim)
    before, started = resident_mb("VmRSS"), time.perf_counter()
    values = naive(features, labels) if way == "naive" else recall_at_k(features, labels, KS)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "megabytes": resident_mb("VmHWM") - before, "values": list(values.values())}))


def measure(way: str, samples: int, dim: int) -> dict:
    """One way in a fresh process."""
    command = [sys.executable, __file__, "--measure", way, "--samples", str(samples), "--dim", str(dim)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    """Measure, compare, and fail when the memory limit is broken or the two disagree."""
    arguments = parse_arguments()
    if arguments.measure:
        measure_here(arguments.measure, arguments.samples, arguments.dim)
        return 0
    ours = measure("blocks", arguments.rival_samples, arguments.dim)
    rival = measure("naive", arguments.rival_samples, arguments.dim)
    print(f"{'way':8} {'samples':>8} {'MB':>8} {'seconds':>8}  recall@{','.join(map(str, KS))}")
    large = measure("blocks", arguments.samples, arguments.dim)
    rows = (("blocks", arguments.rival_samples, ours), ("naive", arguments.rival_samples, rival))
    for way, samples, found in (*rows, ("blocks", arguments.samples, large)):
        values = " ".join(f"{value:.4f}" for value in found["values"])
        print(f"{way:8} {samples:8d} {found['megabytes']:8.0f} {found['seconds']:8.2f}  {values}")
    ratios = {unit: rival[unit] / max(ours[unit], 1e-9) for unit in ("megabytes", "seconds")}
    print(f"naive / blocks: {ratios['megabytes']:.1f} x memory, {ratios['seconds']:.1f} x time")
    disagree = max(abs(a - b) for a, b in zip(ours["values"], rival["values"], strict=True))
    if disagree > 1e-3 or large["megabytes"] > arguments.limit_mb:
        print(
            f"FAILED: recalls differ by {disagree:g}, peak {large['megabytes']:.0f} MB (limit {arguments.limit_mb:g})"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
