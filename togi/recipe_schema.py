"""The JSON Schema of a recipe, for editors; made from the settings classes, never written twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from togi.recipe import DEFAULT_MODEL, StepKind

_NAME: dict[str, Any] = {
    "type": "string",
    "pattern": "^[A-Za-z][A-Za-z0-9_-]*$",
    "description": "The step's name; later steps refer to it.",
}
_INCLUDE: dict[str, Any] = {
    "description": "Recipes that lie under this one; paths are relative to this file.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}


def recipe_schema(kinds: Mapping[str, StepKind]) -> dict[str, Any]:
    """Return a JSON Schema (draft 2020-12) with one alternative for each kind of step."""
    shared: dict[str, Any] = {}
    steps: list[dict[str, Any]] = []
    for use, kind in kinds.items():
        steps.append(_step_schema(use, kind, shared))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "togi recipe",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "description": "Names the run's folder."},
            "model": {
                "type": "string",
                "default": DEFAULT_MODEL,
                "description": "A catalogue name, hub id, local folder or endpoint.",
            },
            "seed": {"type": "integer", "minimum": 0, "default": 0},
            "include": _INCLUDE,
            "steps": {"type": "array", "items": {"oneOf": steps}},
        },
        "$defs": shared,
    }


def _step_schema(use: str, kind: StepKind, shared: dict[str, Any]) -> dict[str, Any]:
    """Return one step's schema; its nested models move to `shared` under a prefixed name."""
    prefix = use.replace(".", "_")
    own = kind.settings_class().model_json_schema(ref_template=f"#/$defs/{prefix}_{{model}}")
    for name, nested in cast("dict[str, Any]", own.pop("$defs", {})).items():
        shared[f"{prefix}_{name}"] = nested
    properties = {"name": _NAME, "use": {"const": use}, **own.get("properties", {})}
    return {
        "title": use,
        "description": own.get("description", ""),
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": ["name", "use", *own.get("required", [])],
    }


def settings_table(kind: StepKind) -> list[tuple[str, str, str, str]]:
    """Return (key, type, default, help) for each setting of a step, for help pages and docs."""
    schema = kind.settings_class().model_json_schema()
    required = set(schema.get("required", []))
    rows: list[tuple[str, str, str, str]] = []
    for key, part in schema.get("properties", {}).items():
        default = "required" if key in required else json.dumps(part.get("default"))
        rows.append((key, type_words(part), default, part.get("description", "")))
    return rows


def type_words(part: Mapping[str, Any]) -> str:
    """Say a schema's type in a few words.

    >>> type_words({"anyOf": [{"type": "integer"}, {"type": "null"}]})
    'integer or null'
    >>> type_words({"type": "array", "items": {"type": "string", "x-togi": "step-ref"}})
    'list of earlier step'
    """
    if part.get("x-togi") == "step-ref":
        return "earlier step"
    if "enum" in part or "const" in part:
        return " | ".join(str(value) for value in part.get("enum", [part.get("const")]))
    if "anyOf" in part:
        return " or ".join(type_words(choice) for choice in part["anyOf"])
    if part.get("type") == "array":
        return f"list of {type_words(part.get('items', {}))}"
    if "$ref" in part:
        return str(part["$ref"]).rsplit("/", 1)[-1]
    return str(part.get("type", "any"))
