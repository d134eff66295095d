"""Find, in settings of any nesting, what points to an earlier step, and which keys are known."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Loc: TypeAlias = tuple[str | int, ...]


def refs(settings: BaseModel) -> Iterator[tuple[Loc, str]]:
    """Yield every `StepRef` that the settings hold, with the path to it.

    >>> from togi.step import StepRef, StepSettings
    >>> class Judge(StepSettings):
    ...     rows: StepRef
    ...     models: list[StepRef]
    ...     note: str = ""
    >>> list(refs(Judge(rows="split.held_out", models=["sft"], note="x")))
    [(('rows',), 'split.held_out'), (('models', 0), 'sft')]
    """
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, str) and _marked(info):
            yield (name,), value
        else:
            yield from _within((name,), info.annotation, value)


def _marked(info: object) -> bool:
    extra = info.json_schema_extra if isinstance(info, FieldInfo) else None
    if not isinstance(extra, dict):
        return False
    return cast("dict[str, Any]", extra).get("x-togi") == "step-ref"


def _within(loc: Loc, annotation: Any, value: Any) -> Iterator[tuple[Loc, str]]:
    """Walk a value beside its annotation; nested models know their own fields."""
    if isinstance(value, BaseModel):
        for inner, ref in refs(value):
            yield (*loc, *inner), ref
        return
    if get_origin(annotation) is Annotated:
        base, *extras = get_args(annotation)
        if isinstance(value, str) and any(_marked(extra) for extra in extras):
            yield loc, value
        else:
            yield from _within(loc, base, value)
    elif get_origin(annotation) in (Union, types.UnionType):
        found = (list(_within(loc, part, value)) for part in get_args(annotation))
        yield from next(filter(None, found), list[tuple[Loc, str]]())
    else:
        for key, part, item in _items(annotation, value):
            yield from _within((*loc, key), part, item)


def _items(annotation: Any, value: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Yield (key, annotation, value) for each item of a mapping, list or tuple."""
    parts = get_args(annotation)
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield key, parts[1] if len(parts) == 2 else Any, item
    elif isinstance(value, list | tuple):
        items: list[Any] = list(cast("list[Any]", value))
        alike = Ellipsis in parts or len(parts) < 2
        each = (parts or (Any,))[:1] * len(items) if alike else parts
        yield from ((n, part, item) for n, (part, item) in enumerate(zip(each, items, strict=True)))


def fields_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """Name the keys that are known at a path into a model; empty where it is not a model.

    >>> from pydantic import create_model
    >>> from togi.step import StepSettings
    >>> class Lora(StepSettings):
    ...     rank: int = 8
    >>> Sft = create_model("Sft", __base__=StepSettings, lora=(Lora, Lora()))
    >>> fields_at(Sft, ("lora",)), fields_at(Sft, ())
    (['rank'], ['lora'])
    """
    if not loc:
        return list(model.model_fields)
    info = model.model_fields.get(str(loc[0]))
    if info is None:
        return []
    # Numbers, dict keys and union tags on the way carry no field's name: drop them as they come.
    for skip in range(1, len(loc) + 1):
        for inner in _models_in(info.annotation):
            known = fields_at(inner, loc[skip:])
            if known:
                return known
    return []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
