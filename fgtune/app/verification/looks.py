"""The looks that the provenance records: one before every addition of seeds to results, with the seeds there were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fgtune.app.verification.findings import Finding, Subject, agree
from fgtune.results.extension import LOOKS, recorded_looks


def check_looks(subject: Subject) -> Iterator[Finding]:
    """Verdicts pay for the looks that are recorded, so that one that is removed would make them cheaper."""
    record, adaptive = subject.record, subject.data.study.adaptive_seeds
    if not record:
        return
    name, looks = subject.name(subject.folder.provenance_file), recorded_looks(record)
    if adaptive is not None:
        seeds = len({cell.seed for cell in subject.data.planned})
        due = [tuple(range(size)) for size in adaptive.sizes if size < seeds]
        # A driver killed between a look and its cells leaves a look at all seeds there are.
        same = list(looks[: len(due)]) == due and looks[len(due) :] in ((), (tuple(range(seeds)),))
        yield agree(same, f"{name}: records looks at n = {_sizes(looks)}, the plan follows looks at n = {_sizes(due)}")
        return
    extended = record.get("extended", [])
    if LOOKS not in record and extended:
        yield Finding(0, note=f"{name}: records no looks; seeds before every addition of seeds count as one")
        return
    due = []
    for entry in extended:
        before, at = entry["from"]["seeds"], entry["at"]
        if any(result.seed in before and result.finished_at < at for result in subject.lines):
            due.append(tuple(before))
    missing = [look for look in due if look not in looks]
    yield agree(not missing, f"{name}: no look is recorded at n = {_sizes(missing)}, after which seeds were added")
    starts = {tuple(entry["from"]["seeds"]) for entry in extended}
    odd = [look for look in looks if look not in starts]
    yield agree(not odd, f"{name}: records a look at n = {_sizes(odd)}, after which no seeds were added")


def _sizes(looks: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(str(len(look)) for look in looks) or "none"
