"""The settings page says everything, and what is printed is what the documentation holds."""

from __future__ import annotations

from pathlib import Path

from fgtune.config.reading.reference import settings_page
from fgtune.config.schema.study import Study

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def keys_of(tree):
    for key, value in tree.items():
        if key != "kind":
            yield key
        if isinstance(value, dict):
            yield from keys_of(value)


def test_documented_settings_are_those_of_this_version():
    assert PAGE.read_text(encoding="utf-8") == settings_page(), "run: fgtune settings > docs/settings.md"


def test_every_setting_of_a_resolved_study_is_on_the_page():
    study = Study.from_plain(
        {
            "study": "x",
            "question": "?",
            "design": {"kind": "sensitivity", "factors": {"epochs": [1]}},
            "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
        }
    )
    plain = study.to_plain()
    plain["design"]["factors"] = {}
    page = settings_page()
    assert not [key for key in keys_of(plain) if f"| `{key}` |" not in page]


def test_bounds_defaults_and_choices_are_told():
    page = settings_page()
    assert "| `decay` | number, >= 0.0 and < 1.0 | `0.99` |" in page
    assert "| `hardening` | `cosine` or `none` or `hard` | `cosine` |" in page
    assert "| `question` | text | required | What the study asks, in a sentence. |" in page
