"""Share of bits of a study folder whose change ``fgtune verify`` finds: flips one at a time, in a copy of the folder.

    python benchmarks/verify_bit_flips.py reports/NAME --flips 300

It prints a row for each file or kind of file. A flip that is not found changes nothing that is read: a date in a zip
archive, a statistic in a Parquet footer.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from fgtune.app import verify as verb
from fgtune.streams import numpy_stream


def is_found(root: Path) -> bool:
    """Whether ``verify`` finds something; the report is made again only if nothing else has found it."""
    every = verb.CHECKS
    try:
        verb.CHECKS = tuple(each for each in every if each[0] != "report")
        if verb.verify(root, data=False).problems:
            return True
    finally:
        verb.CHECKS = every
    return bool(verb.verify(root).problems)


def flip(path: Path, place: int) -> None:
    """Turn a bit over."""
    content = bytearray(path.read_bytes())
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


def main() -> None:
    """Flip bits and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--flips", type=int, default=300, help="as many flips, the same number in every kind of file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = numpy_stream(options.seed, "bit flips")
    found, tried = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(shutil.copytree(options.folder, Path(temporary) / options.folder.resolve().name))
        if verb.verify(root).problems:
            raise SystemExit("the folder does not agree with itself before anything is changed")
        kinds: dict[str, list[Path]] = {}
        for path in sorted(path for path in root.rglob("*") if path.is_file() and path.name != ".lock"):
            inside = path.relative_to(root)
            kinds.setdefault(str(inside.parent / "*") if len(inside.parts) > 1 else inside.name, []).append(path)
        for number in range(options.flips):
            kind = list(kinds)[number % len(kinds)]
            path = kinds[kind][int(rng.integers(len(kinds[kind])))]
            place = int(rng.integers(8 * path.stat().st_size))
            flip(path, place)
            tried[kind] += 1
            found[kind] += is_found(root)
            flip(path, place)
    print(f"{'file':<24}{'flips':>7}{'found':>7}")
    for kind in kinds:
        print(f"{kind:<24}{tried[kind]:>7}{found[kind]:>7}")
    print(f"{'all':<24}{tried.total():>7}{found.total():>7}")


if __name__ == "__main__":
    main()
