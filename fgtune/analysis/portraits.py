"""What the learned classes look like, of one arm and seed: a map of its features, and samples of every class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.portrait_cells import chosen_portrait
from fgtune.arrays import AnyArray, IntArray
from fgtune.config.schema.evaluation import reported_among
from fgtune.metrics.exemplars import FeatureDifference
from fgtune.metrics.relations import align
from fgtune.results.records import CellResult, MapRecord, PortraitRecord, RelationsRecord
from fgtune.results.samples import is_picture
from fgtune.visible import visible

MOST_FIRST = 24
"""Classes that are shown first, from the largest on."""
KINDS = ("medoid", "clear", "clear", "doubtful", "doubtful")
"""What the samples of a class are, in their order."""
_ALIGNED = " → "


@dataclass(frozen=True)
class ShownSample:
    """A sample of a class.

    Attributes:
        row: Of the data set.
        kind: One of ``KINDS``.
        confidence: Probability of the class.
        second: Name of the second choice; empty for none.
        true: Name of its fine class; empty without fine labels.
        picture: A data URL; empty where samples are no pictures.
    """

    row: int
    kind: str
    confidence: float
    second: str
    true: str
    picture: str


@dataclass(frozen=True)
class ShownClass:
    """A learned class.

    Attributes:
        name: Its number, and that of the fine class that it is aligned with.
        parent: Its learned coarse class.
        size: Number of samples.
        confidence: Mean probability of the class among them.
        samples: A few of them.
        features: What tells it apart from the rest of its coarse class.
    """

    name: str
    parent: str
    size: int
    confidence: float
    samples: tuple[ShownSample, ...]
    features: tuple[FeatureDifference, ...]


@dataclass(frozen=True)
class FineBranch:
    """A true fine class with the learned classes in which it is the most frequent.

    Attributes:
        name: Of the fine class.
        size: Its number of samples.
        learned: Name, number of samples, and the share of them that is of this fine class.
    """

    name: str
    size: int
    learned: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True)
class CoarseBranch:
    """A coarse class with its true fine classes."""

    name: str
    fine: tuple[FineBranch, ...]


@dataclass(frozen=True)
class ShownMap:
    """Where samples lie.

    Attributes:
        points: (m, 2) places.
        learned: (m,) learned classes; (m,) ``other`` are the fine classes, or without fine labels the coarse ones.
        other: As above, -1 for none.
        other_kind: ``true class`` or ``coarse class``.
        groups: (m,) coarse class of each learned class, as learned; ``other_groups`` that of each other class.
        other_groups: As above.
        partners: The other class that each learned class is aligned with, -1 for none; without fine labels, its parent.
        names: Of the learned classes, by number; ``other_names`` of the others.
        other_names: As above.
    """

    points: AnyArray
    learned: IntArray
    other: IntArray
    other_kind: str
    groups: IntArray
    other_groups: IntArray
    partners: IntArray
    names: tuple[str, ...]
    other_names: tuple[str, ...]


@dataclass(frozen=True)
class Portrait:
    """What the classes of one cell look like.

    Attributes:
        arm: Name in the plan.
        label: Name for readers.
        seed: Its seed.
        is_only: Whether no other arm keeps a portrait.
        is_asked: Whether a user chose this arm and seed.
        chosen_by: What the arm is the best by, over all its finished seeds.
        seeds: How many these are.
        split: The split whose samples these are.
        num_fine: K_F.
        used: Classes that have samples.
        on_map: Samples on the map.
        map: Where they lie; None where they are too few, or it was not found yet.
        classes: The largest learned classes, from the largest on.
        others: The other ones that are kept, those of a coarse class together, from the largest on.
        tree: Where K_F is above the true number: coarse, true and learned classes.
    """

    arm: str
    label: str
    seed: int
    is_only: bool
    is_asked: bool
    chosen_by: MetricInfo
    seeds: int
    split: str
    num_fine: int
    used: int
    on_map: int
    map: ShownMap | None
    classes: tuple[ShownClass, ...]
    others: tuple[ShownClass, ...]
    tree: tuple[CoarseBranch, ...]

    @property
    def has_pictures(self) -> bool:
        """Whether samples are pictures."""
        return any(sample.picture for each in self.classes for sample in each.samples)

    @property
    def kept(self) -> int:
        """Number of classes that are shown."""
        return len(self.classes) + len(self.others)

    @property
    def is_aligned(self) -> bool:
        """Whether some class has the name of the fine class that it is aligned with."""
        return any(_ALIGNED in each.name for each in self.classes + self.others)


def shown_portrait(data: StudyData) -> Portrait | None:
    """What the page shows; None where no cell keeps what is needed."""
    chosen = chosen_portrait(data)
    if chosen is None:
        return None
    arm, result = chosen.arm, chosen.result
    record, relations = data.folder.read_portrait(result.cell_id), data.folder.read_relations(result.cell_id)
    if record is None or relations is None or not _agree(record, relations):
        return None
    names, found = _names(record, relations), data.folder.read_map(result.cell_id)
    places = list(range(len(record.classes)))
    parents = relations.fine_to_coarse[0, record.classes].tolist()
    others = sorted(places[MOST_FIRST:], key=lambda place: parents[place])  # stable: from the largest on in each
    sizes = (relations.coarse_counts[0] if relations.fine_counts is None else relations.fine_counts).sum(axis=1)
    return Portrait(
        arm=arm.name,
        label=data.shown_name(arm),
        seed=result.seed,
        is_only=chosen.is_only,
        is_asked=chosen.is_asked,
        chosen_by=chosen.metric,
        seeds=chosen.seeds,
        split=_split(result),
        num_fine=relations.fine_to_coarse.shape[1],
        used=int((sizes > 0).sum()),
        on_map=len(record.rows),
        map=None if found is None or len(found.points) != len(record.rows) else _map(record, relations, found, names),
        classes=tuple(_class(record, relations, place, names) for place in places[:MOST_FIRST]),
        others=tuple(_class(record, relations, place, names) for place in others),
        tree=_tree(relations, names),
    )


def _split(result: CellResult) -> str:
    """The split that the cell is reported on."""
    return reported_among(result.config.get("evaluation", {}).get("splits") or ("test",))


def _agree(record: PortraitRecord, relations: RelationsRecord) -> bool:
    """Whether a portrait and relations are about the same classes."""
    num_fine = relations.fine_to_coarse.shape[1]
    learned = [record.learned, record.classes, record.sample_second]
    good = all(bool((each < num_fine).all()) for each in learned) and bool((record.classes >= 0).all())
    good = good and bool((record.coarse < relations.coarse_counts.shape[2]).all())
    true = relations.true_fine_to_coarse
    if record.true is None or record.sample_true is None:
        return good
    fine = [record.true, record.sample_true]
    return good and true is not None and all(bool((each < true.shape[1]).all()) for each in fine)


@dataclass(frozen=True)
class _Names:
    """Names of learned, of true fine and of coarse classes by number, and ``partners`` as in ``ShownMap``."""

    learned: tuple[str, ...]
    fine: tuple[str, ...]
    coarse: tuple[str, ...]
    partners: IntArray


def _names(record: PortraitRecord, relations: RelationsRecord) -> _Names:
    num_coarse, num_fine = relations.coarse_counts.shape[2], relations.fine_to_coarse.shape[1]
    coarse = _texts(record.coarse_names, num_coarse, "coarse class")
    true = relations.true_fine_to_coarse
    fine = () if true is None else _texts(record.fine_names, true.shape[1], "fine class")
    return _Names(tuple(str(number) for number in range(num_fine)), fine, coarse, _partners(relations))


def _texts(stored: AnyArray | None, number: int, word: str) -> tuple[str, ...]:
    names = [] if stored is None else [visible(each.decode(errors="replace")) for each in stored.tolist()]
    return tuple(names[each] if each < len(names) else f"{word} {each}" for each in range(number))


def _partners(relations: RelationsRecord) -> IntArray:
    """(K_F,) the fine class that each learned class is aligned with, -1 for none; without fine labels, its parent."""
    if relations.fine_counts is None or relations.true_fine_to_coarse is None:
        parents: IntArray = relations.fine_to_coarse[0]
        return parents
    found: IntArray = align(relations.fine_to_coarse, relations.true_fine_to_coarse, relations.fine_counts)
    return found


def _map(record: PortraitRecord, relations: RelationsRecord, found: MapRecord, names: _Names) -> ShownMap:
    true = relations.true_fine_to_coarse
    knows = record.true is not None and true is not None
    other_names = names.fine if knows else names.coarse
    return ShownMap(
        points=found.points,
        learned=record.learned,
        other=record.true if record.true is not None else record.coarse,
        other_kind="true class" if knows else "coarse class",
        groups=relations.fine_to_coarse[0],
        other_groups=true[0] if true is not None and knows else np.arange(len(other_names)),
        partners=names.partners,
        names=names.learned,
        other_names=other_names,
    )


def _class(record: PortraitRecord, relations: RelationsRecord, place: int, names: _Names) -> ShownClass:
    number, learned, fine = int(record.classes[place]), names.learned, names.fine
    partner = int(names.partners[number]) if fine else -1
    samples = []
    for position, row in enumerate(record.samples[place].tolist()):
        if row < 0 or position >= len(KINDS):
            continue
        second = int(record.sample_second[place, position])
        true = -1 if record.sample_true is None else int(record.sample_true[place, position])
        url = "" if record.pictures is None else record.pictures[place, position].decode(errors="replace")
        samples.append(
            ShownSample(
                row,
                KINDS[position],
                float(record.sample_confidence[place, position]),
                "" if second < 0 else learned[second],
                fine[true] if 0 <= true < len(fine) else "",
                url if is_picture(url) else "",
            )
        )
    return ShownClass(
        name=f"{learned[number]}{_ALIGNED}{fine[partner]}" if partner >= 0 else learned[number],
        parent=names.coarse[int(relations.fine_to_coarse[0, number])],
        size=int(record.sizes[place]),
        confidence=float(record.confidence[place]),
        samples=tuple(samples),
        features=_features(record, place),
    )


def _features(record: PortraitRecord, place: int) -> tuple[FeatureDifference, ...]:
    names, inside, outside, effect = record.differs, record.inside, record.outside, record.effect
    if names is None or inside is None or outside is None or effect is None:
        return ()
    columns: list[Any] = [each[place].tolist() for each in (names, inside, outside, effect)]
    return tuple(
        FeatureDifference(visible(name.decode(errors="replace")), *numbers)
        for name, *numbers in zip(*columns, strict=True)
        if name
    )


def _tree(relations: RelationsRecord, names: _Names) -> tuple[CoarseBranch, ...]:
    """Learned classes below the true class that is most frequent in them; empty unless they are more than those."""
    counts, true, learned, coarse = relations.fine_counts, relations.true_fine_to_coarse, names.learned, names.coarse
    if counts is None or true is None or counts.shape[0] <= counts.shape[1]:
        return ()
    sizes, owners = counts.sum(axis=1), counts.argmax(axis=1)
    branches: dict[int, list[FineBranch]] = {}
    for number, parent in enumerate(true[0].tolist()):
        own = np.flatnonzero((owners == number) & (sizes > 0))
        own = own[np.argsort(-counts[own, number], kind="stable")]
        below = tuple((learned[each], int(sizes[each]), float(counts[each, number] / sizes[each])) for each in own)
        branches.setdefault(parent, []).append(FineBranch(names.fine[number], int(counts[:, number].sum()), below))
    return tuple(
        CoarseBranch(coarse[parent] if 0 <= parent < len(coarse) else "several coarse classes", tuple(found))
        for parent, found in sorted(branches.items())
    )
