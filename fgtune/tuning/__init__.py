"""Running the cells of a plan with Ray Tune: the scheduler, not the record. Ray is imported by the submodules only."""
