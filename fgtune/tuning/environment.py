"""What environment variables ask of Ray; imported before Ray is, and inherited by its processes."""

from __future__ import annotations

import os

SETTINGS = {
    # Tune's files and tables are not used: the driver keeps the ledger and shows the progress.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths in a study are relative to where it was started
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_MAX_PENDING_TRIALS_PG": "64",  # the queue limits trials; Tune's limit of 1 starts slowly
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a trial without GPUs leaves CUDA_VISIBLE_DEVICES alone
}


GIVEN = tuple(sorted(name for name in os.environ if name.startswith("RAY_") and name not in SETTINGS))
"""Variables of Ray's that were set before it was imported: Ray sets further ones for its own processes."""


def prepare_environment() -> None:
    """Set what is not set yet."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
