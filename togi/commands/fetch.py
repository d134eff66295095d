"""`togi fetch`: bring what a model or a recipe needs, so that it runs without a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from togi.commands.recipes import bundled, find_recipe
from togi.errors import SurroundingsError, TogiError, UsageError, nearest
from togi.recipe import load_recipe
from togi.run import STEPS


def fetch_all(names: Sequence[str]) -> None:
    """Fetch models by name, and what recipes name; say where each lies.

    Raises:
        TogiError: for an unknown name, or when the network or the disk fails.
    """
    for name in names:
        if name.endswith((".yaml", ".yml")) or name in bundled():
            recipe = load_recipe(find_recipe(name), STEPS)
            settings = [step.settings.model_dump(mode="json") for step in recipe.steps]
            models = dict.fromkeys([recipe.model, *_named(settings, "model")])
            sources = dict.fromkeys(_named(settings, "source"))
        else:
            models, sources = {name: None}, {}
        for model in models:
            _model(model)
        for source in sources:
            _source(source)


def _named(value: Any, key: str) -> Iterator[str]:
    """Yield the texts that stand under a key, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from _named(item, key)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name == key and isinstance(item, str) and item:
                yield item
            else:
                yield from _named(item, key)


def _model(name: str) -> None:
    """Fetch a model; an endpoint is nothing that can be fetched."""
    from togi.lm.catalogue import resolve
    from togi.lm.open import ENDPOINT

    if name.startswith(ENDPOINT):
        print(f"{name}: an endpoint, nothing to fetch")
    else:
        print(f"{name}: {resolve(name)}")


def _source(source: str) -> None:
    """Bring a published data set into the local cache; files and Python's sources are here."""
    if source.startswith(("dices:", "davidson:")):
        from togi.evaluate.disagreement.download import PUBLISHED, fetch

        if source not in PUBLISHED:
            raise UsageError("no such data set", where=source, expected=nearest(source, PUBLISHED))
        print(f"{source}: {fetch(PUBLISHED[source])}")
        return
    if not source.startswith("hub:"):
        if not source.startswith("python:") and not Path(source).expanduser().exists():
            raise TogiError("is not on this machine", where=source)
        return
    from togi.rows.hub import parse

    try:
        import datasets
    except ImportError as error:
        raise SurroundingsError(
            "hub data sets need the package `datasets`",
            where=source,
            hint="pip install 'togi[hub]'",
        ) from error
    name, config, split = parse(source)
    try:
        datasets.load_dataset(name, config, split=split)
    except (OSError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise SurroundingsError("cannot be fetched", where=source, found=first[:200]) from error
    print(f"{source}: in the local cache")
