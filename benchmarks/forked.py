"""A forked process that does not outlive the one that forked it, however that one ends (Linux)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import traceback
from collections.abc import Callable

FAILED = 70
"""The exit code of a child whose work ended with an error."""
_PR_SET_PDEATHSIG = 1


def forked(work: Callable[[], int], seconds: float) -> int:
    """Do some work in a child process.

    The kernel kills the child when this process ends, be it by SIGKILL. What the child starts is not killed with it;
    its CPU time is limited, too.

    Args:
        work: Its value is the exit code; an error is printed, and ends with ``FAILED``.
        seconds: Of CPU, for the child and for each process that it starts.

    Returns:
        Process id of the child, which has to be waited for.
    """
    libc, parent, most = ctypes.CDLL(None), os.getpid(), round(seconds)
    child = os.fork()
    if child:
        return child
    code = FAILED
    try:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        if os.getppid() == parent:  # else it ended before it could be watched
            code = work()
    except BaseException:  # the parent sees the code
        traceback.print_exc()
    finally:
        os._exit(code)
