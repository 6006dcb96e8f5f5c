"""A process that is asked to stop: in order by the first signal, at once by a second one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from fgtune.signals import SIGNALS, answering_signals, asked_to_stop, before_leaving, deferring, take_back_handlers

NAMES = [signal.Signals(number).name for number in SIGNALS]
BEGINNING = """
import signal, sys, time
from fgtune.signals import SAME_S, answering_signals, before_leaving, deferring
def ready():
    print("ready", flush=True)
"""
WAITS = "ready()\n    time.sleep(30)"
SLEEPS_DEFERRED = """
def say(line):  # in one piece: it comes from two threads
    print(line + "\\n", end="", flush=True)

with answering_signals(), before_leaving(lambda: say("killed what it had started")):
    with deferring(lambda: say("told")):
        ready()
        for _ in range(600):
            time.sleep(0.05)
"""


def started(code: str, before: str = "") -> subprocess.Popen[str]:
    """A process that runs ``code`` and is ready; it heeds signals that whoever runs the tests may ignore."""
    heeds = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    heeds += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", heeds + before + BEGINNING + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("name", NAMES)
def test_every_signal_that_asks_to_stop_is_told_by_name_and_raises_in_the_main_thread_once(name):
    code = f"""
with answering_signals():
    try:
        {WAITS.replace("    ", " " * 8)}
    except KeyboardInterrupt as stop:
        print(stop)
        time.sleep(0.5)
"""
    process = started(code)
    process.send_signal(getattr(signal, name))
    process.send_signal(getattr(signal, name))  # as `timeout` does: one request
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, f"{name}\n")
    assert err.startswith(f"{name}: stopping in order")


def test_a_second_signal_ends_the_process_at_once_with_a_word_and_after_what_must_be_done():
    process = started(SLEEPS_DEFERRED)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline().startswith("told")
    time.sleep(1.2)
    since = time.monotonic()
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - since < 2
    assert process.returncode == 128 + signal.SIGHUP
    assert out.endswith("killed what it had started\n")
    assert "SIGHUP: stopped at once" in err


def test_a_second_signal_is_obeyed_while_the_main_thread_is_deep_in_a_library():
    code = """
import ctypes
with answering_signals(), deferring(lambda: None):
    ready()
    barrier = ctypes.create_string_buffer(64)  # a mutex as it is initialised
    ctypes.CDLL(None).pthread_mutex_lock(barrier)
    ctypes.CDLL(None).pthread_mutex_lock(barrier)  # for ever, in C
"""
    process = started(code)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


def test_what_was_ignored_at_the_start_stays_ignored():
    code = "\nwith answering_signals():\n    ready()\n    time.sleep(1)\nprint('to the end')\n"
    process = started(code, before="import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n")
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "to the end\n", "")


def test_a_library_that_replaces_a_handler_swallows_no_signal():
    code = """
told = []
with answering_signals(), deferring(lambda: told.append(1)):
    signal.signal(signal.SIGUSR1, lambda *_: None)
    ready()
    while not told:
        time.sleep(0.05)
print("told")
"""
    process = started(code)
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=20)[0] == "told\n"


def test_output_that_nobody_reads_any_more_stops_nothing():
    code = """
with answering_signals(), deferring(lambda: None):
    ready()
    time.sleep(1)
    for _ in range(20_000):
        print("a line")
"""
    process = started(code)
    process.stdout.close()  # as `tee` that the same hang-up has ended
    process.send_signal(signal.SIGHUP)
    process.stdout = None
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err


def test_a_request_is_passed_on_to_what_defers_later_and_forgotten_when_the_block_ends():
    told = []
    before = signal.getsignal(signal.SIGTERM)
    with answering_signals():
        with deferring(lambda: told.append("first")):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
        assert set(told) == {"first"}
        assert asked_to_stop() == "SIGTERM"
        with deferring(lambda: told.append("later")):
            assert told[-1] == "later"
    assert asked_to_stop() is None
    assert signal.getsignal(signal.SIGTERM) is before


def test_handlers_are_taken_back():
    with answering_signals():
        own = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        take_back_handlers()
        assert signal.getsignal(signal.SIGTERM) == own


def test_in_a_side_thread_everything_is_as_it_was():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with answering_signals(), deferring(lambda: None), before_leaving(lambda: None):
            take_back_handlers()
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
