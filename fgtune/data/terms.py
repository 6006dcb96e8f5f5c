"""Texts as numbers: counts of their terms, and the TF-IDF weights and truncated SVD that training texts teach.

Source: Deerwester et al. 1990, "Indexing by latent semantic analysis". Terms are counted once; what is learned is
learned again for every split, from its training texts alone.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from fgtune.arrays import AnyArray, Float32Array, FloatArray, IntArray
from fgtune.config.schema.base import Config
from fgtune.config.schema.data_text import TextConfig
from fgtune.data.base import StoredInputs
from fgtune.data.caches import kept_arrays
from fgtune.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

EXCERPT = 160
"""Characters of each text that are kept for people to read."""
CACHE = "texts"
"""Folder of the caches."""
SCHEME = 1
"""Increase it whenever the same texts and settings would give other counts, excerpts, weights or components, or arrays
of other names: files of earlier versions are then not read."""
_COUNTS = ("data", "indices", "indptr", "terms", "excerpts")
_LEARNED = ("kept", "idf", "components")
_BLAS_FOLDERS = frozenset({"numpy", "numpy.libs", "scipy", "scipy.libs"})
"""Where the wheels of NumPy and SciPy have the libraries that they bring."""


class TextForm(Config):
    """How texts are divided into terms, and what is learned of these.

    Attributes are those of ``TextConfig``; ``dimension`` is the number that the texts at hand allow.
    """

    dimension: Annotated[int, Field(ge=1)]
    ngrams: Annotated[int, Field(ge=1)]
    min_documents: Annotated[int, Field(ge=1)]
    max_share: float
    max_terms: Annotated[int, Field(ge=1)]
    stop_words: Literal["none", "english"]
    column: str | None = None
    """Column that the texts came from; None where they were files."""

    @classmethod
    def of(cls, config: TextConfig) -> TextForm:
        """The form that a data config asks for."""
        return cls(
            dimension=config.dimension,
            ngrams=config.ngrams,
            min_documents=config.min_documents,
            max_share=config.max_share,
            max_terms=config.max_terms,
            stop_words=config.stop_words,
            column=None if config.columns is None else config.columns.text,
        )


@dataclass(frozen=True, eq=False)
class TextEmbedding:
    """What was learned from some texts, and makes numbers of any.

    Attributes:
        form: How texts are divided into terms.
        terms: (terms,) in alphabetical order.
        idf: (terms,) float64 log((1 + texts) / (1 + texts with the term)) + 1.
        components: (rank, terms) float64, orthonormal rows; rank <= ``form.dimension``.
    """

    form: TextForm
    terms: tuple[str, ...]
    idf: FloatArray
    components: FloatArray

    def __call__(self, texts: Sequence[str]) -> Float32Array:
        """(n, dimension) numbers of texts; zeros for a text without a known term."""
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(vocabulary=list(self.terms), **_counting(self.form))
        return self.of_counts(counter.transform(texts))

    def of_counts(self, counts: csr_array) -> Float32Array:
        """(n, dimension) numbers of (n, terms) counts: length sqrt(dimension), so that their mean square is 1."""
        reduced = np.asarray(weighted(counts, self.idf) @ self.components.T, dtype=np.float64)
        length = np.linalg.norm(reduced, axis=1, keepdims=True)
        reduced *= np.sqrt(self.form.dimension) / np.where(length > 1e-12, length, np.inf)
        padded = np.zeros((len(reduced), self.form.dimension), dtype=np.float32)
        padded[:, : reduced.shape[1]] = reduced
        return padded


@dataclass(frozen=True, eq=False)
class TermCounts(StoredInputs):
    """Texts as counts of their terms; read as inputs, they are embedded by what all of them teach.

    Training reads them embedded by its training texts alone (``fgtune.data.preparation``).

    Attributes:
        counts: (N, terms) float32 in compressed rows.
        terms: (terms,) in alphabetical order.
        form: How texts were divided into terms.
        excerpts: (N,) the beginning of each text.
        is_kept: Whether what texts teach is kept on disk for other processes; no part of the fingerprint.
    """

    counts: csr_array = field(repr=False)
    terms: tuple[str, ...] = field(repr=False)
    form: TextForm
    excerpts: tuple[str, ...] = field(repr=False)
    is_kept: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, dimension)."""
        return (int(self.counts.shape[0]), self.form.dimension)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of counts, terms and form."""
        digest = hashlib.sha256(self.form.model_copy(update={"column": None}).digest.encode())
        digest.update("\n".join(self.terms).encode())
        for array in (self.counts.indptr.astype(np.int64), self.counts.indices.astype(np.int64), self.counts.data):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def __getitem__(self, rows: Any, /) -> AnyArray:
        """Numbers of rows, as all texts teach them."""
        return np.asarray(self._by_all[rows])

    @cached_property
    def whole(self) -> TextEmbedding:
        """What all texts teach."""
        return self._learned(np.arange(len(self), dtype=np.int64))

    @cached_property
    def _by_all(self) -> Float32Array:
        found = self.embedded(self.whole)
        found.setflags(write=False)
        return found

    def take(self, rows: IntArray) -> TermCounts:
        """These texts."""
        return replace(self, counts=self.counts[rows], excerpts=tuple(self.excerpts[row] for row in rows))

    def fitted(self, rows: IntArray | slice) -> TextEmbedding:
        """What the texts of ``rows`` teach.

        Raises:
            DataError: No term is left.
        """
        return self.whole if isinstance(rows, slice) else self._learned(rows)

    def embedded(self, embedding: TextEmbedding) -> Float32Array:
        """(N, dimension) numbers of all texts."""
        place = {term: column for column, term in enumerate(self.terms)}
        known = [place.get(term, -1) for term in embedding.terms]
        if -1 not in known:
            return embedding.of_counts(self.counts[:, known])
        raise DataError("the texts were counted with other terms", path="trial.data")

    def check_terms(self) -> None:
        """Raise where no term is left of all texts, without the cost of embedding them.

        Raises:
            DataError: No term is left.
        """
        self._documents(self.counts)

    def _documents(self, counts: csr_array) -> tuple[IntArray, IntArray]:
        """In how many of some texts each term is, and the terms that are kept by it."""
        texts = counts.shape[0]
        documents = np.bincount(counts.indices, minlength=len(self.terms))
        kept = np.flatnonzero((documents >= self.form.min_documents) & (documents <= self.form.max_share * texts))
        if not kept.size:
            rule = f"no term is in {self.form.min_documents} or more and in at most {self.form.max_share:.0%} of the"
            fix = "lower trial.data.min_documents or raise max_share; more texts, or longer ones, also help"
            raise DataError(f"{rule} {texts:,} training texts", path="trial.data", fix=fix)
        return documents, kept

    def _learned(self, rows: IntArray) -> TextEmbedding:
        if self.is_kept:
            key = hashlib.sha256(f"{SCHEME} {self.fingerprint} {_arithmetic()} ".encode())
            key.update(rows.astype(np.int64).tobytes())
            found = kept_arrays(CACHE, key.hexdigest()[:32], _LEARNED, lambda: self._found(rows))
        else:
            found = self._found(rows)
        terms = tuple(self.terms[column] for column in found["kept"])
        return TextEmbedding(self.form, terms, found["idf"], found["components"])

    def _found(self, rows: IntArray) -> dict[str, AnyArray]:
        counts = self.counts[rows]
        documents, kept = self._documents(counts)
        idf = np.log((1 + len(rows)) / (1 + documents[kept])) + 1
        components = _components(weighted(counts[:, kept], idf), self.form.dimension)
        return dict(zip(_LEARNED, (kept, idf, components), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("counts", "terms", "form", "excerpts", "is_kept")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def counted(texts: Sequence[str], form: TextForm, where: str) -> TermCounts:
    """Divide texts into terms and count these.

    Args:
        texts: (N,) at least two.
        form: How.
        where: Their file or folder, for messages.

    Raises:
        DataError: No text has a term that may be used.
    """
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(
        min_df=min(form.min_documents, len(texts)), max_features=form.max_terms, dtype=np.float32, **_counting(form)
    )
    try:
        counts = csr_array(counter.fit_transform(texts))
    except ValueError as error:  # an empty vocabulary
        stop = " that is no stop word" if form.stop_words != "none" else ""
        rule = f"no word of two letters or more{stop} is in {form.min_documents} or more texts"
        fix = "give longer texts, or lower trial.data.min_documents, or set stop_words: none"
        raise DataError(rule, where=where, path="trial.data", fix=fix) from error
    counts.sort_indices()
    terms = tuple(str(term) for term in counter.get_feature_names_out())
    dimension = min(form.dimension, len(terms), len(texts))
    excerpts = tuple(" ".join(text[: 4 * EXCERPT].split())[:EXCERPT] for text in texts)
    return TermCounts(counts, terms, form.model_copy(update={"dimension": dimension}), excerpts)


def kept_counted(texts: Sequence[str], form: TextForm, where: str, key: str) -> TermCounts:
    """As ``counted``, or as it counted these texts before; arguments as there, and a digest of texts and form."""
    from scipy.sparse import csr_array

    def count() -> dict[str, AnyArray]:
        found = counted(texts, form, where)
        arrays = {name: getattr(found.counts, name) for name in _COUNTS[:3]}
        return arrays | {name: _packed(getattr(found, name)) for name in _COUNTS[3:]}

    digest = hashlib.sha256(f"{SCHEME} {key} {version('scikit-learn')}".encode())
    arrays = kept_arrays(CACHE, digest.hexdigest()[:32], _COUNTS, count)
    terms, excerpts = _unpacked(arrays["terms"]), _unpacked(arrays["excerpts"])
    counts = csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(len(excerpts), len(terms)))
    dimension = min(form.dimension, len(terms), len(excerpts))
    return TermCounts(counts, terms, form.model_copy(update={"dimension": dimension}), excerpts, is_kept=True)


def _packed(lines: Sequence[str]) -> AnyArray:
    """Texts without line ends as bytes."""
    return np.frombuffer("\n".join(lines).encode("utf-8", "surrogatepass"), dtype=np.uint8)


def _unpacked(packed: AnyArray) -> tuple[str, ...]:
    return tuple(packed.tobytes().decode("utf-8", "surrogatepass").split("\n"))


def _arithmetic() -> str:
    """What the last bits of a decomposition depend on besides its input: versions, and the kind of processor.

    A BLAS chooses its kernels by the processor, or by a variable of the environment, so it is asked what it has chosen.
    """
    import scipy.linalg  # noqa: F401 (loads the BLAS of SciPy)
    from threadpoolctl import threadpool_info

    versions = [version(name) for name in ("numpy", "scipy", "scikit-learn")]
    extensions = np.show_config(mode="dicts").get("SIMD Extensions")
    loaded = [each for each in threadpool_info() if each["user_api"] == "blas"]
    # Other packages bring a BLAS of their own, which decomposes nothing here and is loaded in some processes only.
    own = [each for each in loaded if not _BLAS_FOLDERS.isdisjoint(Path(each["filepath"]).parts)]
    blas = {f"{each['internal_api']} {each['version']} {each.get('architecture')}" for each in own or loaded}
    return f"{versions} {platform.machine()} {extensions} {sorted(blas)}"


def weighted(counts: csr_array, idf: FloatArray) -> csr_array:
    """TF-IDF weights (n, terms) of counts: (1 + log count) * idf, each row of length 1."""
    weights = counts.astype(np.float64)
    weights.data = (1 + np.log(weights.data)) * idf[weights.indices]
    length = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).reshape(-1))
    weights.data /= np.repeat(np.where(length > 0, length, 1.0), np.diff(weights.indptr))
    return weights


def _components(weights: csr_array, dimension: int) -> FloatArray:
    """(rank, terms) right singular vectors of the largest singular values, the largest entry of each positive."""
    from threadpoolctl import threadpool_limits

    rank = min(dimension, *weights.shape)
    if rank == min(weights.shape):
        with threadpool_limits(1):
            found = np.linalg.svd(weights.toarray(), full_matrices=False)[2][:rank]
    else:
        from sklearn.decomposition import TruncatedSVD

        with threadpool_limits(1):  # as many threads as cores take three times as long, and give other last bits
            found = TruncatedSVD(rank, algorithm="arpack", random_state=0).fit(weights).components_
    places = np.abs(found).argmax(axis=1)
    return np.asarray(found * np.sign(found[np.arange(len(found)), places])[:, None], dtype=np.float64)


def _counting(form: TextForm) -> dict[str, Any]:
    stop = None if form.stop_words == "none" else form.stop_words
    return {"ngram_range": (1, form.ngrams), "stop_words": stop}
