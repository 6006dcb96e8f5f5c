"""What a provenance may hold: anything else is damage, found before something relies on it."""

from __future__ import annotations

import copy

import pytest

from fgtune.results.rebuilding import check_record

SIDE = {"seeds": [0, 1], "study_hash": "abc"}
RECORD = {
    "continued": [{"host": {"cpus": 2}}],
    "extended": [{"from": SIDE, "to": SIDE, "at": "2026-01-01", "command": ["fgtune", "extend"]}],
    "looks": [{"seeds": [0, 1, 2]}],
    "data": {"digits": "fingerprint"},
}


def test_what_fgtune_writes_is_accepted():
    check_record(RECORD)
    check_record({})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("continued",), {}),
        (("continued", 0), "text"),
        (("continued", 0, "host"), 3),
        (("looks", 0), [0, 1]),
        (("looks", 0, "seeds"), "0, 1"),
        (("looks", 0, "seeds"), [0, "1"]),
        (("extended", 0, "to", "seeds"), 2),
        (("extended", 0, "from", "study_hash"), None),
        (("extended", 0, "at"), 5),
        (("extended", 0, "command"), "fgtune extend"),
        (("data", "digits"), 7),
    ],
)
def test_anything_else_is_damage(place, value):
    record = copy.deepcopy(RECORD)
    part = record
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    with pytest.raises(TypeError):
        check_record(record)


@pytest.mark.parametrize("lacking", ["to", "from", "at"])
def test_an_extension_without_a_part_is_damage(lacking):
    record = copy.deepcopy(RECORD)
    del record["extended"][0][lacking]
    with pytest.raises(KeyError):
        check_record(record)
