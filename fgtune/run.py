"""``python -m fgtune.run STUDY``: the same as ``fgtune run STUDY``."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from fgtune.app.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))
