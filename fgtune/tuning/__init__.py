"""Running the cells of a plan with Ray Tune, which schedules but keeps no record; only submodules import Ray."""
