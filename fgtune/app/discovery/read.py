"""From whatever a practitioner has (a table, arrays, single cells, a folder of images) to the data of a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fgtune.app.discovery.source import Asked, Source
from fgtune.data.given import file_at
from fgtune.errors import DataError

FORMS = "a .csv, .tsv or .parquet, an .npz, an .h5ad, or a folder of images"
TABLES = (".csv", ".tsv", ".parquet")


def read_source(asked: Asked, out: Path, begin: Callable[[], None] = lambda: None) -> Source:
    """Read the user's data, and write into ``out`` what the studies need of them.

    Args:
        asked: What is asked about the data.
        out: The folder.
        begin: Called once the data are known to be usable, before anything is written.

    Raises:
        DataError: The data cannot be read, or it is not clear where the coarse labels are. Nothing was written.
    """
    path = file_at(asked.data)
    suffix = path.suffix.lower()
    if asked.text is not None and suffix not in TABLES:
        fix = f"name a table ({', '.join(TABLES)}), or leave --text out"
        raise DataError(
            "only a table has a column of texts", where=str(asked.data), path="--text", value=asked.text, fix=fix
        )
    if path.is_dir():
        from fgtune.app.discovery.images import read_images as read
    elif not path.exists():
        raise DataError("no such file or folder", where=str(asked.data), fix=f"name {FORMS}")
    elif not path.is_file():
        raise DataError("is neither a regular file nor a folder", where=str(asked.data), fix=f"name {FORMS}")
    elif asked.text is not None:
        from fgtune.app.discovery.texts import read_user_texts as read
    elif suffix in TABLES:
        from fgtune.app.discovery.tables import read_user_table as read
    elif suffix == ".npz":
        from fgtune.app.discovery.arrays import read_arrays as read
    elif suffix == ".h5ad":
        from fgtune.app.discovery.cells import read_cells as read
    else:
        raise DataError(f"is not one of the forms that are read: {FORMS}", where=str(asked.data), value=suffix)
    both = next((name for name in asked.left_out if name in (asked.coarse, asked.fine, asked.text)), None)
    if both is not None:
        rule = "cannot hold the texts and be left out" if both == asked.text else "cannot hold labels and be left out"
        raise DataError(rule, where=str(asked.data), path=both, fix="name it once")
    return read(asked, out, begin)
