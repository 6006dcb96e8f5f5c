"""What the folder's other files give: the tables, the report and the verdicts, made once more and compared."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import zlib
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from fgtune.analysis.summary import StudySummary, summarise
from fgtune.analysis.table import encoded, tidy_table
from fgtune.analysis.verdict_file import Verdicts
from fgtune.analysis.verdict_records import verdicts_of
from fgtune.app.verification.findings import DAMAGE, Finding, Subject, agree, first_difference
from fgtune.files import read_bytes
from fgtune.parquet import read_parquet
from fgtune.results.rebuilding import MOST_TABLE


def _elements(name: str) -> re.Pattern[str]:
    """Elements of a page with JSON whose id matches ``name``: how it is held, the id, the content."""
    return re.compile(rf'<script type="application/(json|gzip)" id="({name})">(.*?)</script>', re.DOTALL)


_EMBEDDED, _SUMMARY = _elements('[^"]+'), _elements("fgtune-summary")
_GENERATOR = re.compile(r'<meta name="generator" content="([^"]*)">')
_AROUND = 40
"""Characters shown on each side of the first difference."""
_VERSIONED = frozenset({"answer", "label", "made_by", "name", "next_step", "reason", "sentence", "warnings"})
"""Keys of ``verdicts.json`` whose values versions may say in other words."""
_DESCRIBING = frozenset({"description"})
"""Keys of a summary whose values describe its metrics: they are fgtune's, and no number of the study."""
_RESHAPED = frozenset({"numbers", "class_numbers"})
"""Keys of a summary that an earlier version has in another form, or not at all."""


def check_tables(subject: Subject) -> Iterator[Finding]:
    """``results.csv`` byte for byte, ``results.parquet`` value for value: its bytes depend on the version of Arrow."""
    folder = subject.folder
    table = tidy_table(subject.data)
    for path in (folder.results_csv, folder.results_parquet):
        name = subject.name(path)
        if not path.is_file():
            yield _missing(subject, path)
            continue
        content, expected = read_bytes(path, MOST_TABLE), encoded(table, path.suffix)
        same = content == expected or (path.suffix == ".parquet" and _same_table(content, expected))
        yield agree(same, f"{name}: is not the table that the ledger gives", compared=table.size)


def _same_table(content: bytes, expected: bytes) -> bool:
    """Whether two Parquet files hold the same table; False for one that is none."""
    try:
        stored = read_parquet(io.BytesIO(content)).to_pandas()
    except DAMAGE:
        return False
    made = read_parquet(io.BytesIO(expected)).to_pandas()
    return bool(stored.dtypes.to_dict() == made.dtypes.to_dict() and stored.equals(made))


def check_pages(subject: Subject) -> Iterator[Finding]:
    """Report and verdicts, byte for byte if they say that the same versions made them, and else number for number."""
    from fgtune.reporting.html import generator

    folder, summary, made_by = subject.folder, summarise(subject.data), generator()
    content = read_bytes(folder.report_file, MOST_TABLE) if folder.report_file.is_file() else None
    stated = "" if content is None else _stated_by(content)
    if content is None:
        yield _missing(subject, folder.report_file)
    else:
        yield from _report(subject, content, summary, stated, made_by)
    if folder.verdicts_file.is_file():
        yield from _verdicts(subject, verdicts_of(subject.data, summary))
    elif content is not None:  # if not, the line about the report says how to write both
        if stated == made_by:
            yield _missing(subject, folder.verdicts_file)
        else:
            fix = f"fgtune report {folder.root} writes it"
            yield Finding(0, note=f"{subject.name(folder.verdicts_file)}: is not there, as in earlier versions; {fix}")


def _stated_by(page: bytes) -> str:
    """What made a page, as its head says; empty for a page of a version that did not say it."""
    stated = _GENERATOR.search(page.decode("utf-8", errors="replace"))
    return "" if stated is None else stated.group(1)


def _verdicts(subject: Subject, expected: Verdicts) -> Iterator[Finding]:
    """``verdicts.json`` against what the folder gives."""
    path = subject.folder.verdicts_file
    name, content, again = subject.name(path), read_bytes(path, MOST_TABLE), expected.to_bytes()
    made = json.loads(again)
    if content == again:
        yield Finding(_leaves(made))
        return
    try:
        stored = json.loads(content)
    except (ValueError, RecursionError):
        yield Finding(1, f"{name}: cannot be read as JSON")
        return
    by = stored.get("made_by") if isinstance(stored, dict) else None
    if by == made["made_by"] or not isinstance(by, dict):
        place = _difference(content.decode("utf-8", errors="replace"), again.decode())
        yield Finding(1, f"{name}: is not what the folder gives; {place}")
        return
    written, here = (", ".join(f"{key} {value}" for key, value in each.items()) for each in (by, made["made_by"]))
    yield Finding(
        0, note=f"{name}: was written by {written}, this is {here}: its numbers were compared, its words were not"
    )
    known = {key: value for key, value in made.items() if key in stored}  # a later version has further fields
    same = _without(_VERSIONED, stored) == _without(_VERSIONED, known)
    yield agree(same, f"{name}: its numbers are not those that the ledger gives", compared=_leaves(made))


def _missing(subject: Subject, path: Path) -> Finding:
    """A file that is written when a call ends: a problem once every planned cell has ended."""
    fix = f"fgtune report {subject.folder.root} writes it"
    if subject.has_ended:
        return Finding(1, f"{subject.name(path)}: is missing; {fix}")
    return Finding(0, note=f"{subject.name(path)}: is not there, and the study is not finished; {fix}")


def _report(subject: Subject, content: bytes, summary: StudySummary, stated: str, made_by: str) -> Iterator[Finding]:
    """The report against the same page made once more, if it says that the versions of now made it."""
    from fgtune.reporting.html import render

    name, text = subject.name(subject.folder.report_file), content.decode("utf-8", errors="replace")
    if stated == made_by:
        expected = _unpacked(render(subject.data, summary).decode())
        if _unpacked(text) == expected:
            yield Finding(expected.count("\n") + 1)
            return
        place = _difference(_unpacked(text), expected)
        yield Finding(1, f"{name}: is not the page that the folder gives; {place}")
    else:
        what = f"was written by {stated or 'fgtune'}, this is {made_by}: its numbers were compared, its bytes were not"
        yield Finding(0, note=f"{name}: {what}; fgtune report {subject.folder.root} writes it anew")
    yield from _numbers(text, summary, name, of_now=stated == made_by)


def _unpacked(page: str) -> str:
    """A page with summary and figures as JSON: other libraries compress the same text to other bytes."""
    return _EMBEDDED.sub(lambda found: f'<script id="{found[2]}">{_json_of(found)}</script>', page)


def _json_of(page: re.Match[str]) -> str:
    """The JSON in an element of a page; what cannot be unpacked stands as it is."""
    kind, _, text = page.groups()
    if kind == "json":
        return text
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unpacking.decompress(base64.b64decode(text, validate=True), MOST_TABLE).decode()
    except (ValueError, zlib.error):
        return text
    return found if unpacking.eof else text


def _numbers(text: str, summary: StudySummary, name: str, *, of_now: bool) -> Iterator[Finding]:
    """The numbers of a report, and that its answer is the one that it shows."""
    found = _SUMMARY.search(text)
    try:
        stored = None if found is None else json.loads(_json_of(found))
    except ValueError:
        stored = None
    expected = json.loads(json.dumps(summary.to_plain()))
    left_out = _DESCRIBING if of_now else _DESCRIBING | _RESHAPED
    same = stored is not None and _without(left_out, stored) == _without(left_out, expected)
    yield agree(same, f"{name}: its numbers are not those that the ledger gives", compared=_leaves(expected))
    answer = stored.get("answer") if isinstance(stored, dict) else None
    if isinstance(answer, str):
        page = html.unescape(re.sub(r"<[^>]*>", "", _SUMMARY.sub("", text)))
        shown = _plain(answer) in _plain(page)
        yield agree(shown, f"{name}: the answer that it shows is not the one among its numbers")


def _without(keys: Set[str], found: Any) -> Any:
    """JSON data without some keys, at any depth."""
    if isinstance(found, dict):
        return {key: _without(keys, value) for key, value in found.items() if key not in keys}
    return [_without(keys, value) for value in found] if isinstance(found, list) else found


def _leaves(found: Any) -> int:
    if isinstance(found, dict):
        return sum(map(_leaves, found.values()))
    return sum(map(_leaves, found)) if isinstance(found, list) else 1


def _plain(text: str) -> str:
    """Text with every run of spaces as one, no-break spaces among them."""
    return re.sub(r"[\s\u00a0]+", " ", text)


def _difference(found: str, expected: str) -> str:
    """Where two pages first differ, and what stands there."""
    place = first_difference(found, expected)
    theirs, ours = (text[max(0, place - _AROUND) : place + _AROUND].replace("\n", " ") for text in (found, expected))
    return f"line {found.count(chr(10), 0, place) + 1} has {theirs!r}, it gives {ours!r}"
