"""The default solver: exact successive shortest paths on the columns, in NumPy.

The programme is a minimum-cost flow: each fine class sends one unit to a column, and each column sends n_j >= 1 units
through slots of rising cost to a sink (see ``fgtune.relations.structure``). Fine classes need not be nodes: between two
columns only the cheapest move matters, so the residual network has K_C + 1 nodes, the columns and the sink:

    j -> k     min over members i of j of A[i, j] - A[i, k]       one member of j moves to k
    j -> sink  u d_j,        u = 2 beta / K_C, d_j = n_j - q      one more slot of j is used
    sink -> j  u (1 - d_j),  only while n_j >= 2                  one slot of j is freed

(q = K_F // K_C; the common cost u (q + 1/2) of all slots is left out, since every unit pays it once.)

Why it is exact. The start satisfies the optimality condition "no arc has a negative reduced cost" with all potentials
0: each fine class is in its best column and each column provides n_j = q slots. It only violates conservation: columns
have more or fewer members than slots. Each step sends one unit along a shortest path from surplus to shortage and adds
the distances to the potentials, which preserves the condition (Ahuja, Magnanti and Orlin, Network Flows, 1993, ch.
9.7). When no surplus is left, the flow is feasible and satisfies complementary slackness, hence optimal; the final
potentials are the prices for ``lagrangian_bound``, which proves it from the problem alone.

Why coverage and beta cost no precision. n_j >= 1 is the absence of an arc, not a large bonus. A column with surplus is
never empty, so moves alone reach every shortage: distances stay on the scale of the affinity, and a large u only makes
arcs unattractive. Ties always go to the lowest index, so the solution is a function of the problem.

Cost: one step is O(K_C^2) per round of relaxation, and about n_j K_C for each column on its path; there are as many
steps as fine classes in excess of q in their best columns, at most K_F.
"""

from __future__ import annotations

import numpy as np

from fgtune.arrays import FloatArray, IntArray
from fgtune.config.schema.classes import FlowSolverConfig
from fgtune.relations.base import RawSolution, RelationsProblem, SolveStatus, objective_value
from fgtune.relations.structure import balanced_size, lagrangian_bound


def solve_flow(problem: RelationsProblem, config: FlowSolverConfig) -> RawSolution:  # noqa: ARG001 (no settings)
    """Solve ``problem``, which is in normal form, to proven optimality; deterministic, without a time limit.

    Example:
        >>> problem = RelationsProblem(np.array([[0.0, -0.5], [0.0, -0.1], [0.0, -0.6]]), beta=0.0)
        >>> solution = solve_flow(problem, FlowSolverConfig())
        >>> solution.fine_to_coarse.tolist(), solution.status.value
        ([0, 1, 0], 'optimal')
    """
    network = _Network(problem)
    while network.surplus.max() > 0:
        network.send_one_unit()
    return RawSolution(
        fine_to_coarse=network.parents,
        status=SolveStatus.OPTIMAL,
        objective=objective_value(problem, network.parents),
        bound=lagrangian_bound(problem, network.prices()),
    )


class _Network:
    """The residual network; nodes 0..K_C-1 are the columns and node K_C is the sink."""

    def __init__(self, problem: RelationsProblem) -> None:
        self.affinity = problem.affinity
        self.sink = int(problem.affinity.shape[1])
        self.unit = 2.0 * problem.beta / self.sink
        self.base, remainder = balanced_size(problem)
        self.parents: IntArray = problem.affinity.argmax(axis=1)  # (num_fine,)
        self.slots: IntArray = np.full(self.sink, self.base)  # (num_coarse,) the n_j
        sizes = np.bincount(self.parents, minlength=self.sink)
        self.surplus: IntArray = np.append(sizes - self.slots, -remainder)  # (num_coarse + 1,)
        self.potential: FloatArray = np.zeros(self.sink + 1)
        self.cost: FloatArray = np.full((self.sink + 1, self.sink + 1), np.inf)
        self.mover: IntArray = np.full((self.sink, self.sink), -1)  # which member makes the cheapest move
        for column in range(self.sink):
            self._find_moves(column, np.arange(self.sink))
            self._price_slots(column)

    def prices(self) -> FloatArray:
        """(num_coarse,) prices for ``lagrangian_bound`` under which the current flow is optimal."""
        prices: FloatArray = self.potential[self.sink] - self.potential[: self.sink]
        return prices

    def send_one_unit(self) -> None:
        """Send one unit from a node with surplus to the nearest node with a shortage."""
        distance, previous, target = self._shortest_paths()
        self.potential += np.minimum(distance, distance[target])
        self.surplus[target] += 1
        while previous[target] >= 0:
            source = int(previous[target])
            self._carry(source, target)
            target = source
        self.surplus[target] -= 1

    def _shortest_paths(self) -> tuple[FloatArray, IntArray, int]:
        """Distances from the nearest surplus, the node before each (-1 at a start), and the nearest shortage.

        Relaxes all arcs of the improved nodes at once until no improved node is nearer than the nearest shortage.
        Reduced costs are >= 0 up to rounding and clipped there: labels then never decrease along ``previous``, so it
        cannot close a cycle even among ties. Labels beyond the target may be too large; they are not used.
        """
        reduced = self.cost + self.potential[:, None] - self.potential
        np.maximum(reduced, 0.0, out=reduced)
        short = np.flatnonzero(self.surplus < 0)
        improved = np.flatnonzero(self.surplus > 0)
        distance = np.full(self.sink + 1, np.inf)
        distance[improved] = 0.0
        previous = np.full(self.sink + 1, -1)
        nearest = np.inf
        while improved.size:
            through = distance[improved, None] + reduced[improved]  # (improved, num_coarse + 1)
            best = through.argmin(axis=0)
            label = through[best, np.arange(self.sink + 1)]
            better = label < distance
            distance[better] = label[better]
            previous[better] = improved[best[better]]
            nearest = distance[short].min()
            improved = np.flatnonzero(better & (distance < nearest))
        return distance, previous, int(short[distance[short].argmin()])

    def _carry(self, source: int, target: int) -> None:
        if target == self.sink:
            self.slots[source] += 1
            self._price_slots(source)
        elif source == self.sink:
            self.slots[target] -= 1
            self._price_slots(target)
        else:
            self._move(int(self.mover[source, target]), source, target)

    def _move(self, fine: int, source: int, target: int) -> None:
        """Move class ``fine`` and update the cheapest moves: those it offered at ``source`` and those it offers now."""
        self.parents[fine] = target
        self._find_moves(source, np.flatnonzero(self.mover[source] == fine))
        offered = self.affinity[fine, target] - self.affinity[fine]
        offered[target] = np.inf
        cheaper = np.flatnonzero(offered < self.cost[target, : self.sink])
        self.cost[target, cheaper] = offered[cheaper]
        self.mover[target, cheaper] = fine

    def _find_moves(self, source: int, targets: IntArray) -> None:
        """Recompute the cheapest moves from column ``source`` to the columns ``targets``."""
        targets = targets[targets != source]
        members = np.flatnonzero(self.parents == source)
        if not members.size:
            self.cost[source, targets] = np.inf
            self.mover[source, targets] = -1
            return
        moves = self.affinity[members, source][:, None] - self.affinity[members[:, None], targets]
        cheapest = moves.argmin(axis=0)  # (targets,)
        self.cost[source, targets] = moves[cheapest, np.arange(targets.size)]
        self.mover[source, targets] = members[cheapest]

    def _price_slots(self, column: int) -> None:
        extra = int(self.slots[column]) - self.base
        self.cost[column, self.sink] = self.unit * extra
        self.cost[self.sink, column] = self.unit * (1 - extra) if self.slots[column] >= 2 else np.inf
