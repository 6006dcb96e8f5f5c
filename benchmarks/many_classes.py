"""CPU time and memory of training, solving, evaluating and reporting by the number of fine classes.

    python benchmarks/many_classes.py --sizes 100x20 1000x200 5000x1000

FALCON trains on a Gaussian hierarchy of 50,000 samples with 64 features (10,000 for up to 100 fine classes), 256 a
step, with every default. Each size runs in a process of its own with one thread: two cells of two epochs and one seed
are trained and recorded as in a run, and the report of the folder is made. `epoch` is the mean over all epochs and has
all that follows it: `solves` and `affinity` are what the relations take of it, `evaluation` the metrics of all splits
after an epoch, and `rest` the networks and losses. Peaks are of the process, of which some 700 MiB are PyTorch itself.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from many_cells import peak_mib

if TYPE_CHECKING:
    from fgtune.engine.opening import OpenedStudy
    from fgtune.engine.recorder import Recorder
    from fgtune.results.folder import StudyFolder

EPOCHS = 2
STUDY = """\
study: many
question: What do many classes cost?
design: {{kind: sensitivity, factors: {{optimizer.lr: [0.1, 0.05]}}}}
seeds: 1
trial:
  data: {{kind: hierarchy, num_samples: {samples}, num_coarse: {coarse}, fine_per_coarse: {each}, dim: 64,
         separation: 6.0, coarse_separation: 12.0}}
  model: {{backbone: {{kind: mlp, hidden: [128, 128], norm: batch}}}}
  classes: {{num_fine: {fine}}}
  objective: {{preset: falcon}}
  augmentation: {{kind: noise, std: 0.1}}
  optimizer: {{kind: sgd, lr: 0.1}}
  epochs: {epochs}
"""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="CPU time and memory by the number of fine classes.")
    sizes = ["100x20", "1000x200", "5000x1000"]
    parser.add_argument("--sizes", nargs="+", default=sizes, metavar="K_FxK_C", help="K_C must divide K_F")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


class Clock:
    """CPU seconds by part, of calls that are wrapped."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, whose time is added to ``part``."""

        def timed(*arguments: Any, **named: Any) -> Any:
            before = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[part] += time.process_time() - before

        return timed


def recording(study: Path, scratch: Path) -> tuple[OpenedStudy, StudyFolder, Recorder]:
    """A study, its folder, and what writes the cells there, as in a run."""
    from rich.console import Console

    from fgtune.engine.opening import open_study
    from fgtune.engine.progress import ProgressDisplay, Tally
    from fgtune.engine.recorder import Recorder, record_labels
    from fgtune.results.folder import StudyFolder
    from fgtune.results.options import RunOptions
    from fgtune.results.provenance import collect_provenance

    opened = open_study(study)
    options = RunOptions(study, out=scratch)
    folder = StudyFolder(scratch / opened.plan.study.study)
    folder.create_or_check(opened.plan, opened.loaded, collect_provenance(opened.plan, options, None))
    record_labels(folder, opened.plan, opened.datasets)
    cells = {cell.cell_id: cell for cell in opened.plan.cells}
    display = ProgressDisplay(Tally(cells, "test/clustering_accuracy", True), Console(file=io.StringIO()))
    return opened, folder, Recorder(folder, cells, lambda *_: None, display)


def measure(size: str) -> dict[str, float]:
    """In a process of its own: everything for one size."""
    from fgtune.data.load import load_dataset
    from fgtune.reporting.html import write_up
    from fgtune.training import relations_state
    from fgtune.training.build import build_trainer
    from fgtune.training.prepared import prepare_split, views
    from fgtune.training.trainer import Trainer

    fine, coarse = map(int, size.split("x"))
    clock = Clock()
    relations_state.solve = clock.around("solves", relations_state.solve)
    relations_state.RelationsState.collect = clock.around("affinity", relations_state.RelationsState.collect)
    Trainer._evaluate = clock.around("evaluation", Trainer._evaluate)
    with tempfile.TemporaryDirectory() as scratch:
        study = Path(scratch, "many.yaml")
        samples = 50_000 if fine > 100 else 10_000
        values = {"samples": samples, "coarse": coarse, "each": fine // coarse, "fine": fine, "epochs": EPOCHS}
        study.write_text(STUDY.format(**values), encoding="utf-8")
        opened, folder, recorder = recording(study, Path(scratch))
        dataset = load_dataset(opened.plan.cells[0].config.own().data)
        epochs = 0.0
        for cell in opened.plan.cells:
            config = cell.config.own()
            prepared = prepare_split(dataset, config, cell.seed, threads=1)
            trainer = build_trainer(config, *views(dataset, prepared), prepared, cell.seed)
            before = time.process_time()
            for _ in trainer:
                pass
            epochs += time.process_time() - before
            recorder.on_complete(cell.cell_id, trainer.outcome(), 1)
            del trainer  # or its memory would stand beside the next one's
        trained = peak_mib()
        before = time.process_time()
        page, _ = write_up(folder)
        report = time.process_time() - before
        number = EPOCHS * len(opened.plan.cells)
        parts = {part: clock.seconds[part] / number for part in ("solves", "affinity", "evaluation")}
        return {
            "epoch": epochs / number,
            **parts,
            "rest": epochs / number - sum(parts.values()),
            "peak": trained,
            "report": report,
            "report_peak": peak_mib(),
            "page": page.stat().st_size / 1e6,
        }


def main() -> None:
    """Print a row a size."""
    arguments = parse_arguments()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    columns = ("epoch", "solves", "affinity", "evaluation", "rest", "peak", "report", "report_peak", "page")
    print(f"{'K_F x K_C':>10}" + "".join(f"{name:>12}" for name in columns) + "   (CPU s, MiB, page in MB)")
    for size in arguments.sizes:
        command, environment = [sys.executable, __file__, "--one", size], os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"{size:>10}" + "".join(f"{found[name]:>12.2f}" for name in columns), flush=True)


if __name__ == "__main__":
    main()
