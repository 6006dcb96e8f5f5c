"""``python -m fgtune.run STUDY``: the same as ``fgtune run STUDY``."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from fgtune.app.cli import main
    from fgtune.app.interrupts import end_with

    end_with(lambda: main(["run", *sys.argv[1:]]))
