"""Relation distances against networkx's exact edit distance, brute force over alignments, and the published checks."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.metrics import relations

FORBIDDEN = 1000.0


@st.composite
def relation_pairs(draw, max_fine=5, max_coarse=3, max_count=3):
    """Learned parents, true parents, counts."""
    num_coarse = draw(st.integers(1, max_coarse))
    parents = st.lists(st.integers(0, num_coarse - 1), min_size=1, max_size=max_fine)
    learned, true = np.array(draw(parents)), np.array(draw(parents))
    cells = draw(
        st.lists(st.integers(0, max_count), min_size=learned.size * true.size, max_size=learned.size * true.size)
    )
    return learned, true, np.array(cells).reshape(learned.size, true.size)


def bipartite(parents, fine_names):
    graph = nx.Graph()
    for j in range(int(max(parents)) + 1 if len(parents) else 0):
        graph.add_node(("coarse", j), kind=("coarse", j))
    for i, (parent, name) in enumerate(zip(parents, fine_names, strict=True)):
        graph.add_node(("fine", i), kind=name)
        graph.add_edge(("fine", i), ("coarse", int(parent)))
    return graph


def networkx_distance(first, second, num_coarse):
    for graph in (first, second):
        for j in range(num_coarse):
            graph.add_node(("coarse", j), kind=("coarse", j))

    def substitution(a, b):
        return 0.0 if a["kind"] == b["kind"] else FORBIDDEN

    return nx.graph_edit_distance(first, second, node_subst_cost=substitution)


def alignments(num_learned, num_true):
    """Every one-to-one alignment of min(K_F, K*) pairs."""
    if num_learned <= num_true:
        for columns in itertools.permutations(range(num_true), num_learned):
            yield list(enumerate(columns))
    else:
        for rows in itertools.permutations(range(num_learned), num_true):
            yield [(row, column) for column, row in enumerate(rows)]


def cost_of(pairs, learned, true):
    rewired = sum(int(learned[i] != true[j]) for i, j in pairs)
    return 2 * rewired + 2 * (len(learned) + len(true) - 2 * len(pairs))


@settings(deadline=None, max_examples=40)
@given(relation_pairs(max_fine=4))
def test_ged_structure_is_the_exact_edit_distance_of_networkx(case):
    learned, true, _ = case
    num_coarse = 1 + max(learned.max(), true.max())
    graphs = (bipartite(learned, ["fine"] * len(learned)), bipartite(true, ["fine"] * len(true)))
    assert relations.ged_structure(learned, true) == networkx_distance(*graphs, num_coarse)


@settings(deadline=None, max_examples=40)
@given(relation_pairs(max_fine=4))
def test_ged_is_the_exact_edit_distance_of_networkx_with_aligned_fine_nodes_named(case):
    learned, true, counts = case
    aligned = relations.align(learned, true, counts)
    names = [("fine", int(j)) if j >= 0 else ("surplus", i) for i, j in enumerate(aligned)]
    graphs = (bipartite(learned, names), bipartite(true, [("fine", j) for j in range(len(true))]))
    distance = networkx_distance(*graphs, 1 + max(learned.max(), true.max()))
    if counts.any():
        assert relations.ged(learned, true, counts) == distance
    else:
        assert math.isnan(relations.ged(learned, true, counts))


@settings(deadline=None, max_examples=80)
@given(relation_pairs(max_fine=5, max_count=2))
def test_ged_is_the_least_cost_over_alignments_that_match_most_samples(case):
    learned, true, counts = case
    scored = [
        (sum(int(counts[pair]) for pair in pairs), cost_of(pairs, learned, true))
        for pairs in alignments(len(learned), len(true))
    ]
    most = max(matched for matched, _ in scored)
    if counts.any():
        assert relations.ged(learned, true, counts) == min(cost for matched, cost in scored if matched == most)
    assert relations.ged_structure(learned, true) == min(cost for _, cost in scored)


@settings(deadline=None, max_examples=60)
@given(relation_pairs(max_fine=4))
def test_alignments_of_fewer_pairs_are_never_cheaper(case):
    learned, true, _ = case
    best = relations.ged_structure(learned, true)
    for pairs in alignments(len(learned), len(true)):
        for size in range(len(pairs)):
            for kept in itertools.combinations(pairs, size):
                assert cost_of(kept, learned, true) >= best


@settings(deadline=None, max_examples=100)
@given(relation_pairs(max_fine=8, max_coarse=4))
def test_distances_are_ordered_even_and_bounded(case):
    learned, true, counts = case
    counts = counts + (counts.sum() == 0)
    size, structure = relations.size_distance(learned, true), relations.ged_structure(learned, true)
    aligned = relations.ged(learned, true, counts)
    surplus = abs(len(learned) - len(true))
    assert surplus <= size <= structure <= aligned <= 2 * max(len(learned), len(true))
    assert structure == size + surplus
    assert structure % 2 == 0
    assert aligned % 2 == 0


@settings(deadline=None, max_examples=60)
@given(relation_pairs(max_fine=6, max_coarse=4, max_count=2), st.randoms(use_true_random=False))
def test_numbering_of_fine_and_coarse_classes_does_not_matter(case, random):
    learned, true, counts = case
    rows, columns, coarse = list(range(len(learned))), list(range(len(true))), list(range(4))
    for order in (rows, columns, coarse):
        random.shuffle(order)
    renamed = np.array(coarse)[learned][rows], np.array(coarse)[true][columns]
    np.testing.assert_equal(relations.ged(*renamed, counts[rows][:, columns]), relations.ged(learned, true, counts))
    assert relations.ged_structure(*renamed) == relations.ged_structure(learned, true)
    assert relations.size_distance(*renamed) == relations.size_distance(learned, true)


@settings(deadline=None, max_examples=60)
@given(relation_pairs(max_fine=6, max_coarse=4, max_count=2))
def test_swapping_learned_and_true_changes_no_distance(case):
    learned, true, counts = case
    np.testing.assert_equal(relations.ged(true, learned, counts.T), relations.ged(learned, true, counts))
    assert relations.ged_structure(true, learned) == relations.ged_structure(learned, true)
    assert relations.size_distance(true, learned) == relations.size_distance(learned, true)
    np.testing.assert_equal(relations.ged_reference(true, learned), relations.ged_reference(learned, true))


def test_equal_relations_in_another_order_are_at_distance_zero():
    true = np.array([0, 0, 1, 1, 2])
    order = np.array([4, 2, 0, 3, 1])
    assert relations.ged(true[order], true, np.eye(5, dtype=int)[order]) == 0


def test_hand_case_exchange_within_right_sizes_is_seen_by_ged_alone():
    true, learned = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert relations.ged(learned, true, np.eye(4, dtype=int)) == 4
    assert relations.ged_structure(learned, true) == 0
    assert relations.size_distance(learned, true) == 0
    assert relations.ged_reference(learned, true) == 0


def test_hand_case_surplus_and_missing_fine_nodes_cost_two_each():
    wide = np.array([[9, 0], [0, 9], [1, 0]])
    assert relations.ged([0, 1, 0], [0, 1], wide) == 2
    assert relations.ged([0, 1], [0, 1, 0], wide.T) == 2
    assert relations.ged([1, 1, 0], [0, 1], wide) == 4
    assert relations.ged_structure([1, 1, 0], [0, 1]) == 2


def test_unused_fine_class_is_aligned_with_the_missing_class_that_suits_it():
    # Fine class 2 wins no sample, nor does 3; true classes 2 and 3 are found by nobody. Parents decide.
    counts = np.diag([5, 5, 0, 0])
    assert relations.ged([0, 1, 1, 0], [0, 1, 0, 1], counts) == 0
    np.testing.assert_array_equal(relations.align([0, 1, 1, 0], [0, 1, 0, 1], counts), [0, 1, 3, 2])


def test_parents_never_outweigh_a_sample():
    counts = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(relations.align([1, 2, 0], [0, 1, 2], counts), [0, 1, 2])
    assert relations.ged([1, 2, 0], [0, 1, 2], counts) == 6


def test_all_sources_share_one_alignment_and_are_averaged():
    counts = np.zeros((2, 2), dtype=int) + 1
    learned, true = np.array([[0, 1], [0, 1], [0, 1]]), np.array([[0, 1], [1, 0], [1, 0]])
    np.testing.assert_array_equal(relations.align(learned, true, counts), [1, 0])
    assert relations.ged(learned, true, counts) == pytest.approx(4 / 3)
    assert relations.size_distance([[0, 0], [0, 1]], [[0, 1], [0, 1]]) == 1


def test_a_source_with_an_unknown_true_parent_is_left_out():
    learned, true = np.array([[0, 1], [0, 0]]), np.array([[0, -1], [0, 1]])
    counts = np.eye(2, dtype=int)
    assert relations.ged(learned, true, counts) == 2
    assert relations.size_distance(learned, true) == 2
    for distance in (relations.ged_structure, relations.size_distance, relations.ged_reference):
        assert math.isnan(distance(learned[0], true[0]))
    assert math.isnan(relations.ged(learned[0], true[0], counts))


def test_reference_number_of_a_random_balanced_guess_is_zero():
    rng = np.random.default_rng(0)
    true = rng.permutation(np.repeat(np.arange(20), 5))
    guess = rng.permutation(true)
    assert relations.ged_reference(guess, true) == 0.0
    assert relations.ged(guess, true, np.eye(100, dtype=int)) > 150


@pytest.mark.parametrize("seed", range(5))
def test_reference_number_of_a_random_balanced_guess_with_one_class_moved_is_eight(seed):
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(20), 5)
    guess = rng.permutation(true)
    guess[0] = (guess[0] + 1) % 20
    assert relations.ged_reference(guess, true) == 8.0


def test_reference_number_counts_small_set_differences_as_they_are():
    true = np.repeat(np.arange(20), 5)
    moved = true.copy()
    moved[0] = 1
    assert relations.ged_reference(moved, true) == 2.0


def test_reference_number_means_nothing_when_the_number_of_classes_differs():
    assert math.isnan(relations.ged_reference([0, 1, 1], [0, 1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: relations.ged([0], [0, 1], [[1, 0], [0, 1]]), r"counts must have shape \(1, 2\), got \(2, 2\)"),
        (lambda: relations.size_distance([-1], [0]), r"learned must be >= 0, got values from -1 to -1"),
        (lambda: relations.size_distance([0], [-2]), r"true must be >= -1, got values from -2 to -2"),
        (lambda: relations.ged_structure([0.5], [0]), r"learned must be integers, got dtype float64"),
        (
            lambda: relations.ged_reference([[0], [0]], [[0]]),
            r"learned and true must have the same sources, got 2 and 1",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
