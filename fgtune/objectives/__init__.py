"""Loss terms over one forward pass, and the weighted sum that training minimises.

A term is one module and one line here. Torch is imported by the submodules only.
"""

TERMS: dict[str, str] = {
    "coarse": "fgtune.objectives.coarse:CoarseTerm",
    "nn": "fgtune.objectives.neighbor:NeighborTerm",
    "conf": "fgtune.objectives.confidence:ConfidenceTerm",
    "reg": "fgtune.objectives.uniformity:UniformityTerm",
    "base": "fgtune.objectives.coarse_head:BaseTerm",
    "fine": "fgtune.objectives.fine_labels:FineTerm",
    "instance": "fgtune.objectives.instance:instance_term",
    "entropic": "fgtune.objectives.entropic:EntropicTerm",
}
"""Makers of terms by name, ``make(config, context)``; the weight of term ``x`` is ``objective.lambda_x``."""
