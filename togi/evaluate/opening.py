"""Opening the models of a recipe's step: adapters on top, endpoints with limits and a tally."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from togi.errors import UsageError
from togi.evaluate.settings import EndpointSettings, ModelSettings
from togi.step import Work

if TYPE_CHECKING:
    from togi.evaluate.judge import Opener
    from togi.lm.base import LanguageModel
    from togi.lm.limits import Serving

ENDPOINT = "openai:"
"What the address of a served model begins with."
LARGE = 1 << 28
"Bytes from which on a weight file is told by its size and time, and not hashed."


def opener(settings: ModelSettings, work: Work) -> Opener:
    """Return an `Opener` of a model; an endpoint's replies are kept in the user's cache.

    A training step that has a whole `model` among its outputs is opened as that model; where it
    has an `adapter`, that goes on top.
    """
    from togi.evaluate.judge import Opener

    spec, adapter = tuned_parts(settings, work)
    whole = Path(spec) if spec != (settings.model or work.model) else None
    marks = [*_marks(whole), *_marks(adapter)]
    identity = " ".join([spec, settings.dtype, *marks])
    served = spec.startswith(ENDPOINT) and adapter is None
    if settings.endpoint and not served:
        raise UsageError("'endpoint' means nothing to a local model", where=spec)
    if settings.endpoint and settings.endpoint.extra:
        identity += f" {sorted(settings.endpoint.extra.items())}"

    def open_it() -> LanguageModel:
        from togi.align.tuned import open_tuned
        from togi.lm.cache import Cached, ReplyCache
        from togi.lm.catalogue import cache_folder
        from togi.lm.open import open_model

        if served:
            how = serving(settings.endpoint or EndpointSettings(), work)
            model = open_model(spec, offline=work.offline, serving=how, say=work.say)
            return Cached(model, ReplyCache(cache_folder() / "replies.sqlite"))
        return open_tuned(
            spec, adapter=adapter, dtype=settings.dtype, offline=work.offline, say=work.say
        )

    return Opener(identity, open_it)


def serving(settings: EndpointSettings, work: Work) -> Serving:
    """Return how an endpoint is asked; what it is paid is counted over all starts of the run."""
    from togi.lm.limits import Patience, Prices, Serving

    most = math.inf if settings.most is None else settings.most
    return Serving(
        concurrency=settings.concurrency,
        patience=Patience(read=settings.timeout, attempts=settings.attempts),
        prices=Prices(
            per_million_in=settings.price_in, per_million_out=settings.price_out, most=most
        ),
        extra=settings.extra,
        paid=paid_file(work),
    )


def paid_file(work: Work) -> Path:
    """Return the run's `paid.jsonl`, which outlives a step's change of settings."""
    inside = work.folder.parent.name == "steps"
    return (work.folder.parents[1] if inside else work.folder) / "paid.jsonl"


def paid_notes(models: Mapping[str, ModelSettings], work: Work) -> list[str]:
    """Say what each endpoint was paid in this run, all its starts together."""
    from togi.lm.limits import Prices
    from togi.lm.open import endpoint_name
    from togi.lm.paid import read_paid

    found, notes = read_paid(paid_file(work)), []
    for name, model in models.items():
        spec = model.model or work.model
        usage = found.get(endpoint_name(spec)) if spec.startswith(ENDPOINT) else None
        if usage is None:
            continue
        own = model.endpoint or EndpointSettings()
        cost = usage.cost(Prices(per_million_in=own.price_in, per_million_out=own.price_out))
        price = f", {cost:.4g} in all" if own.price_in or own.price_out else ""
        notes.append(
            f"{name}: {usage.requests:,} replies in this run, {usage.tokens_in:,} tokens sent, "
            f"{usage.tokens_out:,} received{price}"
        )
    return notes


def tuned_parts(settings: ModelSettings, work: Work) -> tuple[str, Path | None]:
    """Return which model is opened, and the adapter that goes on top, if any.

    Raises:
        RecipeError: the training step has neither a model nor an adapter.
    """
    spec = settings.model or work.model
    if not settings.adapter:
        return spec, None
    step, _, named = settings.adapter.partition(".")
    outputs = work.inputs.get(step, {})
    if named == "model" or (not named and "model" in outputs):
        spec = str(work.input(settings.adapter, "model"))
        if named or "adapter" not in outputs:
            return spec, None
    return spec, Path(work.input(settings.adapter, "adapter"))


def _marks(folder: Path | None) -> list[str]:
    """Return what tells a folder's content: digests, for large weights size and time."""
    from togi.lm.manifest import sha256_of

    if folder is None or not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [
        f"{path.stat().st_size}:{path.stat().st_mtime_ns}"
        if path.stat().st_size > LARGE
        else sha256_of(path)
        for path in files
    ]
