"""CPU seconds until fgtune answers: its import, its help, a look at a study, and the plan of 10,000 cells.

    python benchmarks/startup.py --runs 5

Every figure is user plus system time of a fresh process, the best of some runs: other processes of the machine add to
it, and never take from it. The ratio is to importing pydantic, typer and rich alone, below which no command line made
of them can come. Fails where a figure is above its limit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from many_cells import COMMAND, cpu_seconds, study_text

FLOOR = ("-c", "import pydantic, typer, rich.console, rich.table")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="CPU seconds until fgtune answers.")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, the best of which counts (default: 5)")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("at least 1 run is needed")
    return arguments


def main() -> int:
    """Measure, print a table, and fail where a figure is above its limit."""
    runs = parse_arguments().runs
    study = "studies/kf_sensitivity.yaml"
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder, "large.yaml")
        large.write_text(study_text(10_000), encoding="utf-8")
        cases = {
            "import fgtune": (("-c", "import fgtune"), 0.1),
            "fgtune --help": ((*COMMAND, "--help"), 0.5),
            "fgtune validate (digits)": ((*COMMAND, "validate", study), 1.0),
            "fgtune plan (digits)": ((*COMMAND, "plan", study, "--out", folder), 1.0),
            "fgtune plan (10,000 cells)": ((*COMMAND, "plan", str(large), "--out", folder), 5.0),
        }
        floor = cpu_seconds(FLOOR, runs)
        print(f"{'what':28} {'CPU s':>6} {'limit':>6} {'ratio':>6}")
        print(f"{'pydantic, typer, rich':28} {floor:6.2f} {'':6} {1:6.1f}")
        too_long = []
        for name, (arguments, limit) in cases.items():
            seconds = cpu_seconds(arguments, runs)
            print(f"{name:28} {seconds:6.2f} {limit:6.1f} {seconds / floor:6.1f}")
            too_long += [name] if seconds > limit else []
    if too_long:
        print(f"FAILED: above the limit: {', '.join(too_long)}")
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
