"""``fgtune discover``: from data with coarse labels alone to the fine class of every sample, and how sure that is.

It orchestrates two ordinary studies and a refit: how many fine classes there are, then which method finds them, judged
without fine labels. What is finished stays in its folder, so that a second call continues.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune.app.discovery.given import given, is_kept, rows_of
from fgtune.app.discovery.request import DEFAULT_MINUTES, FILE, Request, content_of
from fgtune.app.discovery.source import Asked
from fgtune.app.exit_codes import INTERRUPTED
from fgtune.errors import ConfigError, FgtuneError
from fgtune.files import real_path
from fgtune.results.claiming import locked_folder
from fgtune.results.options import DEFAULT_OUT
from fgtune.signals import answering_signals, deferring

if TYPE_CHECKING:
    from fgtune.analysis.discovery.outcome import Discovery
    from fgtune.app.discovery.results import DiscoveryResults

FEWEST_MINUTES = 0.5


def discover(
    data: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    coarse: str | None = None,
    fine: str | None = None,
    num_fine: int | None = None,
    minutes: float = DEFAULT_MINUTES,
    leave_out: Sequence[str] = (),
    text: str | None = None,
    quiet: bool = False,
    wait: bool = False,
) -> DiscoveryResults:
    """Find fine classes in data that have coarse labels alone, as ``fgtune discover`` does.

    Args:
        data: A ``.csv``, ``.tsv`` or ``.parquet``, an ``.npz``, an ``.h5ad``, or a folder of images. Or data in memory,
            which the folder keeps: a pandas or Arrow table, a dict with ``table`` and its columns ``coarse``, ``fine``,
            ``exclude``, arrays ``(inputs, coarse)`` or ``(inputs, coarse, fine)``, a dict of these, or a dataset of
            such samples.
        out: The folder for all results; None is ``reports/discover-NAME``, with the name ``data`` for data in memory.
        coarse: Column or array with the coarse labels; None looks for it.
        fine: Column with fine classes, for nothing but a comparison at the end.
        num_fine: Number of fine classes, where it is known; else it is estimated.
        minutes: Time for this call.
        leave_out: Columns that are not to be used.
        text: Column of texts of a table, which are then what is divided; None divides by its numbers.
        quiet: Print nothing.
        wait: Wait until no other process writes to the folder, and then do what is left, instead of raising.

    Returns:
        What was found, as in ``discover.json``, with the fine class of every sample as a table.

    Raises:
        ConfigError: The data, an option or the folder is wrong; nothing was started.
        FgtuneError: The call was stopped before there was a result; another one continues it.
    """
    if isinstance(leave_out, str):
        raise ConfigError("must be a list of strings", where="leave_out", value=leave_out)
    from fgtune.app.discovery.results import DiscoveryResults

    index = None
    with ExitStack() as stack:
        if isinstance(data, str | os.PathLike):
            asked = Asked(Path(data), coarse, fine, tuple(leave_out), text)
            folder = _folder_of(asked) if out is None else Path(out)
        else:
            folder = DEFAULT_OUT / "discover-data" if out is None else Path(out)
            kept, index = given(data, folder, coarse, fine, leave_out), rows_of(data)
            asked = replace(kept.asked, text=text)
            stack.enter_context(kept.readable())
        end = run_discovery(asked, folder, num_fine, minutes, quiet=quiet, wait=wait)
    if end.found is None:
        raise FgtuneError(f"stopped before there was a result; {end.command} continues")
    return DiscoveryResults(end.found, folder, index)


def _folder_of(asked: Asked) -> Path:
    """Where results go if no place is named."""
    return DEFAULT_OUT / f"discover-{asked.data.stem or asked.data.name}"


@dataclass(frozen=True)
class End:
    """How a call ended: its exit code, what was found (None if it was stopped before), and how to go on."""

    code: int
    found: Discovery | None
    command: str


def run_discovery(
    asked: Asked, out: Path | None, num_fine: int | None, minutes: float, *, quiet: bool = False, wait: bool = False
) -> End:
    """Run what is left of a discovery, and write its results; see ``discover``."""
    if not minutes >= FEWEST_MINUTES:
        raise ConfigError(f"must be at least {FEWEST_MINUTES}", path="--minutes", value=minutes)
    if num_fine is not None and num_fine < 2:
        raise ConfigError("must be at least 2", path="--num-fine", value=num_fine)
    out = _folder_of(asked) if out is None else out
    there, data = real_path(out), real_path(asked.data)
    if (there.is_relative_to(data) or data.is_relative_to(there)) and not is_kept(data, there):
        rule = f"results and data ({asked.data}) must not lie one in the other"
        raise ConfigError(rule, path="--out", value=str(out), fix="choose another place with --out")
    request = Request(asked, num_fine, content_of(asked.data))
    request.continued(out)  # a folder that holds something else is not touched
    from fgtune.app.discovery.call import Call

    code, found = INTERRUPTED, None
    say = (lambda _: None) if quiet else partial(print, flush=True)
    with answering_signals():
        try:
            with locked_folder(out, lambda: (out / FILE).exists(), wait, say):
                call = Call(request.continued(out), out, minutes, quiet, wait=wait)
                try:
                    code, found = call.run()
                finally:
                    with deferring(lambda: None):
                        call.keep_time()
        except KeyboardInterrupt:  # the engine answers one itself; this one came before, after or between the studies
            pass
    return End(code, found, request.command(out, minutes))
