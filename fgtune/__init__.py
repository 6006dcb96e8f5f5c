"""fgtune: ablation and hyperparameter studies for methods that learn fine classes from coarse labels."""

__version__ = "0.1.0"
