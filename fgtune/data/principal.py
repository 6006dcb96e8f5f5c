"""The leading principal components of some inputs: a space that depends on no model and on no label."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from fgtune.arrays import Float32Array, FloatArray, IntArray
from fgtune.streams import drawn_rows

DIMENSIONS = 20
"""Principal components that are kept."""
SPACE_SAMPLES = 1000
"""Samples of a data set that its space is found on."""


@cache
def _blas() -> ThreadpoolController:
    """The BLAS of NumPy, and others that are loaded by now: looking for them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let NumPy multiply and decompose with one thread: sums over several differ in their last bits."""
    with _blas().limit(limits=1):
        yield


@dataclass(frozen=True)
class PrincipalSpace:
    """The leading principal components of some inputs.

    Attributes:
        mean: (d,).
        basis: (d, dimensions), orthonormal.
    """

    mean: FloatArray
    basis: FloatArray

    def project(self, values: Float32Array) -> Float32Array:
        """(n, dimensions) coordinates of values (n, d); the same bits whatever the number of threads."""
        with one_thread():
            found: Float32Array = ((values - self.mean) @ self.basis).astype(np.float32)
        return found


def principal_space(values: Float32Array, dimensions: int = DIMENSIONS) -> PrincipalSpace:
    """Principal components, not scaled to equal variance; the same bits whatever the number of threads.

    Args:
        values: (n, d) finite.
        dimensions: Number of components; fewer where there are fewer samples or values.

    Example:
        >>> space = principal_space(np.array([[0, 0, 1], [0, 3, 1], [0, 6, 1]], dtype=np.float32), dimensions=1)
        >>> np.abs(space.project(np.array([[9, 5, 9]], dtype=np.float32))).tolist()
        [[2.0]]
    """
    centred = values.astype(np.float64)
    mean = centred.mean(axis=0)
    centred = centred - mean
    with one_thread():
        variances, vectors = gram_spectrum(centred)
        if centred.shape[1] <= len(centred):
            return PrincipalSpace(mean, np.ascontiguousarray(vectors[:, ::-1][:, :dimensions]))
        largest = max(float(variances[-1]), np.finfo(np.float64).tiny)
        kept = np.flatnonzero(variances > 1e-12 * largest)[::-1][:dimensions]
        return PrincipalSpace(mean, centred.T @ (vectors[:, kept] / np.sqrt(variances[kept])))


def gram_spectrum(centred: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ascending eigenvalues (k,) and eigenvectors (k, k) of the smaller Gram matrix of centred samples (m, p).

    With p <= m, k is p and eigenvectors are principal components; else k is m, and they are scores on them, each
    divided by the root of its eigenvalue.
    """
    wide = centred.shape[1] > len(centred)
    variances, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    return variances, vectors


def space_rows(number: int) -> IntArray:
    """Sorted rows, of ``number``, that a data set's space is found on; drawn without labels, alike in all studies."""
    return drawn_rows(number, SPACE_SAMPLES, 0, "fixed_space")
