"""Metrics of fine-class discovery: pure functions of arrays, and the catalogue that says what each number means.

Importing this package loads the catalogue alone. The functions live in ``contingency``, ``clustering``, ``coarse``,
``relations``, ``label_free``, ``evaluate``, ``retrieval``, ``probes``, ``regression``, ``episodes`` and ``attention``,
and are imported from there.
"""

from fgtune.metrics.catalog import METRICS, MetricSpec, find_spec, spec_of

__all__ = ["METRICS", "MetricSpec", "find_spec", "spec_of"]
