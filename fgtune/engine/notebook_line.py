"""One line of progress in a notebook, replaced where it stands; there is none outside a notebook's kernel."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any

from fgtune.visible import masked, visible

_PAUSE_S = 0.25
"""Between two refreshes, since each is a message to the browser; a finished cell is shown at once."""


class NotebookLine:
    """A line that refreshes; create it with ``notebook_line``.

    Args:
        display: What IPython offers to show something.
    """

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None
        self._done, self._shown_at = -1, 0.0

    def show(self, done: int, size: int, text: str) -> None:
        """Replace the line.

        Args:
            done: Finished cells.
            size: All cells.
            text: What to say beside the bar.
        """
        if done == self._done and time.monotonic() < self._shown_at + _PAUSE_S:
            return
        self._done, self._shown_at = done, time.monotonic()
        text = visible(masked(text))
        html = f'<progress value="{done}" max="{max(size, 1)}"></progress> {done}/{size} {escape(text)}'
        shown = {"text/plain": f"{done}/{size} {text}", "text/html": html}
        if self._handle is None:
            self._handle = self._display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def notebook_line() -> NotebookLine | None:
    """A line in the output of the notebook's cell that runs; None where this process is no notebook's kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:  # of a terminal, or no shell at all
        return None
    from IPython.display import display

    return NotebookLine(display)
