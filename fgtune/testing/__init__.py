"""The contract of every part, as checks: fgtune's own parts pass them, and a user's own parts should.

``backbones``, ``solvers``, ``terms`` and ``datasets`` have a ``check_...`` function each, to be called from a test, and
the single checks behind it as ``CHECKS``. They need no pytest. ``docs/plugins.md`` shows their use.
"""
