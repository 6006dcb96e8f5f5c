"""The loss terms: one line per term, from which the setting of its weight, its class and its metric follow.

The term ``x`` is weighted by ``objective.lambda_x`` and measured as ``loss_x``. A new term needs its module and a
line here; modules are imported when a term is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fgtune.catalog.spec import Reads


@dataclass(frozen=True)
class TermSpec:
    """What the settings, the metric catalogue and data preparation need to know about a term.

    Attributes:
        place: ``module:name`` of its factory, called as ``make(config, context)``: a ``fgtune.objectives.base.Term``
            class, or a function that returns one.
        description: The loss in a sentence fragment, with its source.
        reads: The labels that it needs; a term that reads fine classes is an upper bound and never searched.
        on_validation: Whether it has a value on the validation split, as ``Term.on_validation`` says.
        neighbors: Whether it is computed on neighbours, as ``Term.needs`` says; they are found before training.
        fine_head: Whether it trains a classifier over fine classes, as ``Term.needs`` says; where no term does, fine
            classes are clusters.
    """

    place: str
    description: str
    reads: Reads = "coarse labels"
    on_validation: bool = True
    neighbors: bool = False
    fine_head: bool = False


_FALCON, _XU, _FIERCE = "fgtune.objectives.falcon", "fgtune.objectives.xu", "fgtune.objectives.fierce"
_SCAN, _ANCOR, _SNCA = "fgtune.objectives.scan", "fgtune.objectives.ancor", "fgtune.objectives.snca"
_SCGM = "fgtune.objectives.scgm"
_COARSE = "cross-entropy of the coarse label under the relations (FALCON eq. 4)"
_NN = "disagreement with the teacher's prediction for nearest neighbours (FALCON eq. 6; SCAN)"
_CONF = "cross-entropy to the teacher's sharpened prediction within the coarse class (FALCON eq. 7)"
_REG = "distance of the batch-mean prediction from the prior over fine classes (FALCON eq. 9)"
_BASE = "cross-entropy of the coarse label under a separate coarse head (Xu et al., Base; FIERCE)"
_FINE = "cross-entropy of the fine label: an upper bound that reads fine labels (Xu et al., Fine)"
_INSTANCE = "cross-entropy of a sample's own index (the lambda_I of Xu et al.)"
_ENTROPIC = "log2 K minus the entropy, in bits, of the features' use of K prototypes (FIERCE)"
_SELF_LABEL = "cross-entropy to the teacher's confident labels, alone in the last stage of the training (SCAN)"
_SNCA_LOSS = "-log of the share that a sample's coarse class has of its neighbourhood in a memory of all (SNCA)"
_ANCOR_LOSS = "coarse cross-entropy, and contrast by angles around the coarse class's weight vector (ANCOR)"
_SCGM_LOSS = "-log-likelihood of the assigned subclass and its coarse class, and coarse cross-entropy (SCGM)"

TERMS: dict[str, TermSpec] = {
    "coarse": TermSpec(f"{_FALCON}:CoarseTerm", _COARSE, fine_head=True),
    "nn": TermSpec(f"{_FALCON}:NeighborTerm", _NN, neighbors=True, fine_head=True),
    "conf": TermSpec(f"{_FALCON}:ConfidenceTerm", _CONF, fine_head=True),
    "reg": TermSpec(f"{_FALCON}:UniformityTerm", _REG, fine_head=True),
    "base": TermSpec(f"{_XU}:BaseTerm", _BASE),
    "fine": TermSpec(f"{_XU}:FineTerm", _FINE, reads="fine classes", on_validation=False, fine_head=True),
    "instance": TermSpec(f"{_XU}:instance_term", _INSTANCE, on_validation=False),
    "entropic": TermSpec(f"{_FIERCE}:EntropicTerm", _ENTROPIC),
    "self_label": TermSpec(f"{_SCAN}:SelfLabelTerm", _SELF_LABEL, fine_head=True),
    "snca": TermSpec(f"{_SNCA}:SncaTerm", _SNCA_LOSS, on_validation=False),
    "ancor": TermSpec(f"{_ANCOR}:AncorTerm", _ANCOR_LOSS, on_validation=False),
    "scgm": TermSpec(f"{_SCGM}:ScgmTerm", _SCGM_LOSS, on_validation=False, fine_head=True),
}
"""Every term by name."""


def weight_of(name: str) -> str:
    """The setting below ``objective`` that weights the term ``name``."""
    return f"lambda_{name}"


def trains_fine_head(weights: Mapping[str, Any]) -> bool:
    """Whether one of fgtune's terms trains a classifier over fine classes; one of the user's own may, too.

    Args:
        weights: The settings of an objective as plain data, every weight above 0 among them.
    """
    return any(term.fine_head and weights.get(weight_of(name), 0.0) > 0 for name, term in TERMS.items())
