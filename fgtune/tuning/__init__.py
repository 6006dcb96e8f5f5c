"""Running the cells of a plan with Ray Tune, which schedules but keeps no record; only submodules import Ray."""

from fgtune.tuning.environment import prepare_environment

prepare_environment()  # before Ray is imported anywhere
