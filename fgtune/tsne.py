"""t-SNE (van der Maaten and Hinton 2008) in two dimensions, the same whatever the number of threads."""

from __future__ import annotations

import numpy as np

from fgtune.arrays import AnyArray, FloatArray


def tsne_embedding(points: FloatArray, perplexity: float, steps: int) -> AnyArray:
    """(m, 2) float32 t-SNE embedding of samples; it starts from their first two coordinates and draws nothing.

    One thread, so that it does not depend on how many there are.

    Args:
        points: (m, p) finite, at least four samples; principal components, for a start that means something.
        perplexity: About how many neighbours a sample keeps near; at most a third of the samples is used.
        steps: Of gradient descent, at least 250.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = np.zeros((len(points), 2))
    start[:, : points.shape[1]] = points[:, :2]
    start *= 1e-4 / (start.std() or 1.0)
    perplexity = min(perplexity, (len(points) - 1) / 3)
    with threadpool_limits(1):
        method = TSNE(2, perplexity=perplexity, max_iter=steps, init=start.astype(np.float32), random_state=0)
        found: AnyArray = method.fit_transform(points.astype(np.float32))
    return found.astype(np.float32)
