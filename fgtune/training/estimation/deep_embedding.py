"""The number of density peaks in a t-SNE embedding of an auto-encoder's code."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fgtune.arrays import FloatArray
from fgtune.config.schema.classes import DeepEmbeddingEstimatorConfig
from fgtune.config.schema.model import MlpConfig
from fgtune.config.schema.trial import AdamConfig
from fgtune.errors import TrialError
from fgtune.models.backbones import Mlp
from fgtune.models.initialize import build_by_seed
from fgtune.streams import torch_stream
from fgtune.training.estimation.components import principal_scores
from fgtune.training.estimation.density_peaks import cutoff_distance, peak_clusters
from fgtune.training.optimization import build_optimizer, num_batches
from fgtune.training.threads import trial_threads
from fgtune.tsne import tsne_embedding

_BATCH = 256
_STEPS = 1000
"""Of t-SNE."""


class AutoEncoder(nn.Module):
    """Linear layers with ReLU to a linear code, and the same widths back to the inputs."""

    def __init__(self, dim: int, hidden: tuple[int, ...], code: int) -> None:
        super().__init__()
        there, back = Mlp(MlpConfig(hidden=hidden), (dim,)), Mlp(MlpConfig(hidden=hidden[::-1]), (code,))
        self.encoder = nn.Sequential(there, nn.Linear(hidden[-1], code))
        self.decoder = nn.Sequential(back, nn.Linear(hidden[0], dim))

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (B, d) computed from their codes."""
        decoded: Tensor = self.decoder(self.encoder(inputs))
        return decoded


def embedded_clusters(values: FloatArray, config: DeepEmbeddingEstimatorConfig, seed: int) -> int:
    """The number of clusters among samples: an auto-encoder's code, t-SNE in two dimensions, density peaks.

    The steps are those of Wang et al. (AAAI 2018); not verified against the authors' code: none was released. Theirs is
    a convolutional auto-encoder of images, with changes to density peaks of their own; here layers are linear, and the
    peaks that count are those of Ren et al. (2020), which have the same steps.

    Args:
        values: (m, p) finite and centred, m >= 4, not all alike; their unit does not matter.
        config: Sizes and training of the auto-encoder, perplexity and cut-off distance.
        seed: Of initial weights and of the order of samples; t-SNE draws nothing.

    Raises:
        TrialError: The auto-encoder's error became non-finite.
    """
    if len(values) <= config.neighbors:
        return 1  # the cut-off distance would reach over all samples
    code = codes(values, config, seed)
    code -= code.mean(axis=0)
    with trial_threads(1):
        scores = principal_scores(code, 1.0)
    embedding = tsne_embedding(scores, config.perplexity, _STEPS).astype(np.float64)
    cutoff = cutoff_distance(embedding, config.ratio, config.neighbors)
    return int(peak_clusters(embedding, cutoff).max()) + 1


def codes(values: FloatArray, config: DeepEmbeddingEstimatorConfig, seed: int) -> FloatArray:
    """(m, config.code) codes of centred samples (m, p), by an auto-encoder that is trained on them.

    Inputs are divided by one number, so that their mean variance is 1: dimensions keep their weight relative to each
    other, as they do for the other estimators. One thread, so that codes do not depend on how many there are.
    """
    scaled = np.empty(values.shape, dtype=np.float32)  # filled without another copy in float64
    np.divide(values, np.sqrt(np.square(values).mean()), out=scaled, casting="same_kind")
    inputs = torch.from_numpy(scaled)
    network = build_by_seed(lambda: AutoEncoder(inputs.shape[1], config.hidden, config.code), seed)
    optimizer = build_optimizer(AdamConfig(lr=config.lr), list(network.parameters()))
    with trial_threads(1):
        for epoch in range(1, config.epochs + 1):
            order = torch.randperm(len(inputs), generator=torch_stream(seed, "order", epoch))
            for rows in order.tensor_split(num_batches(len(inputs), _BATCH)):
                loss = functional.mse_loss(network(inputs[rows]), inputs[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        with torch.no_grad():
            found: FloatArray = network.encoder(inputs).double().numpy()
    if not np.isfinite(found).all():
        raise TrialError("the auto-encoder that estimates num_fine diverged; lower classes.estimator.lr")
    return found
