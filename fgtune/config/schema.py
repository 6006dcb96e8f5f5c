"""The JSON schema of study files, for editors that complete and check YAML while it is written."""

from __future__ import annotations

from typing import Any

from fgtune.config.study import Study


def study_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a study file.

    What a schema cannot say (fractions that sum to 1, factors that exist) is checked when the file is loaded.
    """
    schema = Study.model_json_schema(mode="validation")
    _close(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "fgtune study",
    }


def _close(node: Any) -> None:
    """Make the schema as strict as loading is: ``kind`` is required where it chooses, dotted keys are the only keys."""
    if isinstance(node, list):
        for below in node:
            _close(below)
    if not isinstance(node, dict):
        return
    if "const" in node.get("properties", {}).get("kind", {}):
        node["required"] = sorted({*node.get("required", []), "kind"})
    if "patternProperties" in node:
        node["additionalProperties"] = False
    for below in node.values():
        _close(below)
