"""What every metric is: name, range, direction, oracle or not. Numbers about metrics; no code that computes them."""

from fgtune.catalog.metrics import METRICS, MetricSpec, find_spec, spec_of

__all__ = ["METRICS", "MetricSpec", "find_spec", "spec_of"]
