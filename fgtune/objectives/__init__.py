"""Loss terms over one forward pass, and the weighted sum that training minimises.

A term is one module and one line here. Torch is imported by the submodules only.
"""

TERMS: dict[str, str] = {
    "coarse": "fgtune.objectives.falcon:CoarseTerm",
    "nn": "fgtune.objectives.falcon:NeighborTerm",
    "conf": "fgtune.objectives.falcon:ConfidenceTerm",
    "reg": "fgtune.objectives.falcon:UniformityTerm",
    "base": "fgtune.objectives.xu:BaseTerm",
    "fine": "fgtune.objectives.xu:FineTerm",
    "instance": "fgtune.objectives.xu:instance_term",
    "entropic": "fgtune.objectives.fierce:EntropicTerm",
}
"""Makers of terms by name, ``make(config, context)``; the weight of term ``x`` is ``objective.lambda_x``."""
