"""``python -m fgtune VERB ...``: the same as ``fgtune VERB ...``."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from fgtune.app.cli import main

    sys.exit(main(sys.argv[1:]))
