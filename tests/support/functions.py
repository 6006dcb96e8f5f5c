"""Functions that stand for a user's own trainer, and a study that calls one of them."""

from __future__ import annotations

STUDY = """
study: own
question: Does a larger gain help?
design: {kind: sensitivity, factors: {config.gain: [0.0, 0.2]}}
seeds: 2
trial:
  kind: function
  call: "usersown:run"
  metrics: {score: {direction: maximize, range: [0, 1]}, loss: {direction: minimize}}
  config: {gain: 0.1, Depth: 2}
  epochs: 3
"""
"""Three arms."""

MODULE = '''
"""Trainers of somebody else's."""

import json
import os
import random


def run(config, seed, report):
    """Scores that depend on seed, gain and epoch alone."""
    start = random.Random(seed).random() / 10
    for epoch in range(report.epoch, report.epochs):
        report(score=0.5 + start + config["gain"] * (epoch + 1) / 10, loss=1 / (epoch + 1))


def resumable(config, seed, report, checkpoint_dir):
    """A walk that goes on from its last saved state; it saves every second epoch."""
    saved = checkpoint_dir / "state.json"
    state = json.loads(saved.read_text()) if saved.exists() else {"epoch": 0, "at": 0.5}
    while state["epoch"] < report.epochs:
        step = random.Random(f"{seed} {state['epoch']}").random()
        state = {"epoch": state["epoch"] + 1, "at": (state["at"] + step * config["gain"]) % 1.0}
        if state["epoch"] % 2 == 0:
            saved.write_text(json.dumps(state))
        report(score=state["at"], loss=0.0)


def fails(config, seed, report):
    """One arm is broken, and all would be if a GPU were in sight, which the study does not ask for."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") != "":
        raise RuntimeError("a GPU is in sight")
    report(score=0.5, loss=1.0)
    if config["gain"] == 0.2:
        raise ArithmeticError("the gain is too large")


def wordless(config, seed, report):
    """Forgets to report."""
    return {"score": 0.5}


def too_few(config, seed):
    """Takes no report."""


def lazy(config, seed, report):
    """Never runs."""
    yield report(score=0.5, loss=1.0)
'''
