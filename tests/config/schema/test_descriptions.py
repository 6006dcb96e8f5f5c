"""What settings mean, read from the source when somebody asks: what Pydantic would have read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, create_model

from fgtune.config.schema.base import Config
from fgtune.config.schema.descriptions import descriptions
from fgtune.config.schema.study import Study


class Parent(Config):
    """Not of a field."""

    first: int = 1
    """The first,
    on two lines: with `marks`.

    And another paragraph."""
    second: int = 2
    third: Annotated[int, Field(description="said in the field")] = 3
    """Said below."""
    fourth: int = 4
    """The fourth."""
    fifth: int = 5
    """The fifth."""


class Child(Parent):
    fourth: int = 40
    """Said anew."""
    fifth: int = 50
    own: int = 6
    "In single quotes."

    def second_text(self) -> None:
        """Of no field."""


class Same(BaseModel):
    """As ``Parent``, with the texts read by Pydantic."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    first: int = 1
    """The first,
    on two lines: with `marks`.

    And another paragraph."""
    second: int = 2
    third: Annotated[int, Field(description="said in the field")] = 3
    """Said below."""
    fourth: int = 4
    """The fourth."""
    fifth: int = 5
    """The fifth."""


class SameChild(Same):
    fourth: int = 40
    """Said anew."""
    fifth: int = 50
    own: int = 6
    "In single quotes."


def test_texts_are_those_that_pydantic_reads():
    for ours, theirs in ((Parent, Same), (Child, SameChild)):
        right = {name: field.description for name, field in theirs.model_fields.items() if field.description}
        assert right
        assert descriptions(ours) == right


def test_the_json_schema_has_them():
    properties = Child.model_json_schema()["properties"]
    found = {name: each["description"] for name, each in properties.items() if "description" in each}
    assert found == descriptions(Child)
    assert len(found) == 4
    below = Study.model_json_schema()["$defs"]["TextConfig"]["properties"]
    assert below["max_terms"]["description"].startswith("So many terms at most")


def test_a_class_without_source_has_only_what_its_fields_say():
    made = create_model("Made", __base__=Parent, more=(int, Field(1, description="made")), bare=(int, 2))
    assert descriptions(made) == descriptions(Parent) | {"more": "made"}


def test_no_class_of_a_study_has_its_source_read_before_somebody_asks():
    assert Parent.model_fields["first"].description is None
    assert not Study.model_config.get("use_attribute_docstrings")
