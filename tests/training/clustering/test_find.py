"""Clusters of every kind against scikit-learn's own, what all kinds promise, and what happens to small classes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.datasets import load_digits, make_moons
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from support.benchmarks import load_benchmark

from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError, TrialError
from fgtune.training.clustering import fits
from fgtune.training.clustering.find import find_clusters
from fgtune.training.clustering.rules import clusters_of, relative, softmax

KINDS = ("kmeans", "gmm", "spectral", "agglomerative")


def config(**settings):
    plain = {"data": {"kind": "digits"}, "classes": {"num_fine": 4}, "clustering": settings}
    return TrialConfig.from_plain(plain).clustering


def assigned(clusters, features, known=None):
    scores = clusters.log_scores(features)
    return softmax(scores if known is None else clusters.allowed(scores, known)).argmax(axis=1)


@pytest.fixture(scope="module")
def blobs():
    """Four blobs in six dimensions, three of them in the first coarse class."""
    rng = np.random.default_rng(0)
    centers = 4 * rng.normal(size=(4, 6))
    groups = np.repeat([0, 0, 0, 1], 40)
    return (np.repeat(centers, 40, axis=0) + rng.normal(size=(160, 6))).astype(np.float32), groups


@pytest.fixture(scope="module")
def digits():
    """Digits of two coarse classes, which overlap."""
    inputs, fine = load_digits(return_X_y=True)
    return (inputs[:600] / 16).astype(np.float32), (fine[:600] >= 5).astype(np.int64)


# --- what all kinds promise ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["coarse", "global"])
@pytest.mark.parametrize("sizes", ["balanced", "variance"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pca", [None, 4, 0.8])
def test_every_kind_keeps_the_contract(blobs, kind, sizes, scope, pca):
    features, groups = blobs
    made = [find_clusters(config(kind=kind, sizes=sizes, scope=scope, pca=pca), *blobs, 4, seed) for seed in (0, 0)]
    clusters = made[0]
    for name, array in clusters.arrays().items():
        np.testing.assert_array_equal(array, made[1].arrays()[name])
    scores = clusters.log_scores(features)
    assert scores.shape == (160, 4)
    assert np.isfinite(relative(scores)).all()
    probs = softmax(scores)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-6)
    counts = [2, 2] if sizes == "balanced" else [3, 1]
    expected = [-1] * 4 if scope == "global" else np.repeat([0, 1], counts).tolist()
    assert clusters.groups.tolist() == expected
    known = assigned(clusters, features, groups)
    assert len(np.unique(known)) == 4
    if scope == "coarse":
        np.testing.assert_array_equal(clusters.groups[known], groups)
    np.testing.assert_array_equal(assigned(clusters, features, np.full(160, -1)), probs.argmax(axis=1))
    np.testing.assert_array_equal(assigned(clusters, features, np.full(160, 9)), probs.argmax(axis=1))
    stored = clusters_of({**clusters.arrays(), "fine_to_coarse": np.zeros((1, 4))})
    np.testing.assert_array_equal(stored.log_scores(features), scores)


@pytest.mark.parametrize("kind", KINDS)
def test_separate_blobs_are_found_by_every_kind(blobs, kind):
    features, groups = blobs
    found = find_clusters(config(kind=kind, sizes="variance"), features, groups, 4, 0)
    assert adjusted_rand_score(np.repeat(np.arange(4), 40), assigned(found, features)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_small_classes_constant_features_and_duplicates_are_clustered(kind):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(40, 64)).astype(np.float32)
    features[:, :8] = 0.5
    features[30:36] = features[30]
    groups = np.repeat([0, 1, 2], [30, 6, 4])[:39]  # many samples, all alike, as many as clusters
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if kind == "kmeans":
            warnings.filterwarnings("ignore", message="Number of distinct clusters")
        found = find_clusters(config(kind=kind), features[:39], groups, 9, 0)
    known = assigned(found, features[:39], groups)
    np.testing.assert_array_equal(found.groups[known], groups)
    assert len(np.unique(known[groups == 2])) == 3
    one = find_clusters(config(kind=kind, sizes="variance"), features[[0, 38]], groups[[0, 38]], 2, 0)
    assert assigned(one, features[[0, 38]]).tolist() == [0, 1]


def test_too_few_samples_or_features_are_clear_errors(blobs):
    features, groups = blobs
    with pytest.raises(TrialError, match="1 clusters cannot cover 2 coarse classes"):
        find_clusters(config(), features, groups, 1, 0)
    for kind in KINDS:
        with pytest.raises(TrialError, match="5 clusters need as many training samples, there are 3"):
            find_clusters(config(kind=kind), features[:3], groups[:3], 5, 0)
    with pytest.raises(TrialError, match="7 principal components need as many features and training samples, there"):
        find_clusters(config(pca=7), features, groups, 4, 0)


# --- against scikit-learn, class by class ----------------------------------------------------------------------------


def sklearn_labels(kind, points, clusters, seed):
    if kind == "kmeans":
        return KMeans(clusters, n_init=10, random_state=seed).fit_predict(points)
    if kind == "agglomerative":
        return AgglomerativeClustering(clusters).fit_predict(points)
    if kind == "spectral":
        graph = {"affinity": "nearest_neighbors", "n_neighbors": 11}  # the sample itself is counted there
        return SpectralClustering(clusters, **graph, n_init=10, random_state=seed).fit_predict(points)
    floor = 0.1 * points.var(axis=0).mean()
    mixture = GaussianMixture(clusters, reg_covar=floor, n_init=10, max_iter=200, random_state=seed)
    return mixture.fit_predict(points)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pca", [None, 10])
def test_training_samples_get_the_cluster_that_scikit_learn_gives_them_in_their_class(digits, kind, pca):
    features, groups = digits
    found = find_clusters(config(kind=kind, pca=pca), features, groups, 10, 3)
    points = features if pca is None else PCA(pca, svd_solver="full").fit_transform(features.astype(np.float64))
    points = points if kind == "kmeans" else points.astype(np.float64)
    known = assigned(found, features, groups)
    for group in (0, 1):
        own = groups == group
        assert adjusted_rand_score(sklearn_labels(kind, points[own], 5, 3), known[own]) == pytest.approx(1.0)


def test_a_mixture_gives_bayes_posterior_of_scipy_s_normal_distributions(digits):
    features, groups = digits
    points = features[:, 18:24]
    for covariance in ("full", "tied", "diag"):
        found = find_clusters(config(kind="gmm", covariance=covariance, restarts=1), points, groups, 4, 0)
        densities = []
        for group in (0, 1):
            own = points[groups == group].astype(np.float64)
            floor = 0.1 * own.var(axis=0).mean()
            fitted = GaussianMixture(2, covariance_type=covariance, reg_covar=floor, max_iter=200, random_state=0)
            fitted.fit(own)
            for k in range(2):
                spread = fitted.covariances_ if covariance == "tied" else fitted.covariances_[k]
                spread = np.diag(spread) if covariance == "diag" else spread
                share = fitted.weights_[k] * len(own) / len(points)
                densities.append(share * multivariate_normal(fitted.means_[k], spread).pdf(points.astype(np.float64)))
        expected = np.stack(densities, axis=1)
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(softmax(found.log_scores(points)), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["spectral", "agglomerative"])
def test_a_new_sample_joins_its_nearest_neighbour_with_and_without_a_label(digits, kind):
    features, groups = digits
    found = find_clusters(config(kind=kind), features[:400], groups[:400], 10, 0)
    members = assigned(found, features[:400], groups[:400])
    np.testing.assert_array_equal(found.rule.members[np.argsort(np.argsort(groups[:400], kind="stable"))], members)
    nearest = KNeighborsClassifier(1).fit(features[:400], members)
    np.testing.assert_array_equal(assigned(found, features[400:]), nearest.predict(features[400:]))
    for group in (0, 1):
        inside, new = groups[:400] == group, features[400:][groups[400:] == group]
        own = KNeighborsClassifier(1).fit(features[:400][inside], members[inside])
        np.testing.assert_array_equal(assigned(found, new, np.full(len(new), group)), own.predict(new))


def test_more_samples_than_the_cap_are_drawn_by_seed_and_the_others_join_the_nearest(digits):
    features, groups = digits
    capped = config(kind="agglomerative", max_samples=100)
    found, again, other = (find_clusters(capped, features, groups, 10, seed) for seed in (0, 0, 1))
    assert len(found.rule.samples) == 200
    np.testing.assert_array_equal(found.rule.samples, again.rule.samples)
    assert not np.array_equal(found.rule.samples, other.rule.samples)
    known = assigned(found, features, groups)
    np.testing.assert_array_equal(found.groups[known], groups)


def test_spectral_clusters_follow_shapes_that_centres_cannot():
    points, truth = make_moons(300, noise=0.04, random_state=0)
    features, groups = points.astype(np.float32), np.zeros(300, dtype=np.int64)
    spectral, kmeans = (find_clusters(config(kind=kind), features, groups, 2, 0) for kind in ("spectral", "kmeans"))
    assert adjusted_rand_score(truth, assigned(spectral, features)) == 1
    assert adjusted_rand_score(truth, assigned(kmeans, features)) < 0.5


@pytest.mark.parametrize("clusters", [2, 4, 6])
def test_a_graph_in_parts_gives_spectral_clusters_that_cross_no_gap_while_there_are_enough(clusters):
    rng = np.random.default_rng(0)
    parts = np.repeat(np.arange(4), 60)
    features = (rng.normal(size=(240, 5)) + 100 * np.eye(5)[parts]).astype(np.float32)
    found = find_clusters(config(kind="spectral"), features, np.zeros(240, dtype=np.int64), clusters, 0)
    members = assigned(found, features)
    assert len(np.unique(members)) == clusters
    pure = [len(np.unique(parts[members == each])) == 1 for each in range(clusters)]
    assert all(pure) == (clusters >= 4)


# --- settings --------------------------------------------------------------------------------------------------------


def test_a_section_without_a_kind_is_k_means_as_before_under_the_same_hash():
    plain = {"data": {"kind": "digits"}, "classes": {"num_fine": 4}}
    none = TrialConfig.from_plain(plain)
    for clustering in ({}, {"scope": "coarse"}, {"kind": "kmeans"}, {"kind": "kmeans", "restarts": 10}):
        given = TrialConfig.from_plain({**plain, "clustering": clustering})
        assert given == none
        assert given.digest == none.digest
    other = TrialConfig.from_plain({**plain, "clustering": {"scope": "global"}})
    assert other.identity()["clustering"] == {"scope": "global"}
    assert TrialConfig.from_plain({**plain, "clustering": {"kind": "gmm"}}).identity()["clustering"] == {"kind": "gmm"}


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "dbscan"},
        {"kind": "kmeans", "covariance": "full"},
        {"kind": "agglomerative", "restarts": 3},
        {"kind": "gmm", "regularization": 0.0},
        {"pca": 1.5},
        {"pca": 0},
    ],
)
def test_a_kind_has_only_the_settings_that_mean_something_for_it(bad):
    with pytest.raises(ValueError, match="clustering"):
        config(**bad)


def test_the_settings_of_a_section_without_a_kind_are_known_to_errors_and_to_the_schema(tmp_path):
    from fgtune.config.reading.load import load_study
    from fgtune.config.reading.reference import study_schema

    path = tmp_path / "x.yaml"
    path.write_text(
        "study: x\nquestion: q?\ndesign: {kind: sensitivity, factors: {epochs: [1, 2]}}\n"
        "trial: {data: {kind: digits}, classes: {num_fine: 10}, clustering: {scop: coarse}}\n"
    )
    with pytest.raises(ConfigError, match=r"x.yaml:4: trial.clustering.scop: unknown key.*did you mean 'scope'"):
        load_study(path)
    sections = study_schema()["$defs"]
    assert "kind" not in sections["KMeansClusteringConfig"].get("required", [])
    assert sections["GmmClusteringConfig"]["required"] == ["kind"]


def test_the_baselines_that_are_measured_find_classes_that_lie_apart(capsys, monkeypatch):
    benchmark = load_benchmark("baselines")
    apart = {**benchmark.HIERARCHY, "separation": 12.0, "coarse_separation": 24.0, "num_samples": 200}
    monkeypatch.setattr(benchmark, "DATASETS", {"apart": apart})
    monkeypatch.setattr("sys.argv", ["baselines.py", "--seeds", "2", "--arms", "k-means, PCA", "Ward"])
    benchmark.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| k", "| W"))]
    assert len(lines) == 3 * 2
    assert all(float(line.split(" | ")[1].strip(" |*")) > 0.97 for line in lines)


def test_k_means_that_has_said_the_sizes_is_not_fitted_again(monkeypatch):
    rng, fitted = np.random.default_rng(0), []
    features = rng.normal(size=(90, 3)).astype(np.float32)
    groups = np.repeat([0, 1, 2], 30)
    kmeans_of = fits.kmeans_of

    def count(points, clusters, *rest):
        fitted.append((points.tobytes(), clusters))
        return kmeans_of(points, clusters, *rest)

    monkeypatch.setattr(fits, "kmeans_of", count)
    found = find_clusters(config(kind="kmeans", sizes="variance"), features, groups, 7, seed=3)
    assert len(fitted) == len(set(fitted))
    given = np.bincount(found.groups).tolist()
    again = find_clusters(config(kind="kmeans"), features, groups, 7, 3, given)
    assert np.array_equal(found.rule.centers, again.rule.centers)
