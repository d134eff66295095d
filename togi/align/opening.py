"""Opening the model that a training step changes, and saving what became of it.

This is where the first axis lives, *what is trained*: an adapter (`lora`), one over a base packed
in four bits (`qlora`), all weights (`full`), or a prefix. A step starts from the recipe's model or
from what an earlier step left: a whole model, an adapter, or an adapter on a whole model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.align.settings import TrainSettings
from togi.errors import UsageError
from togi.stats.rng import derive
from togi.step import Work
from togi.train.digest import row_digest

GRADIENTS = ("adamw", "adamw_8bit", "paged_adamw")


@dataclass(frozen=True, slots=True)
class Start:
    """What a step begins with: a model as a user writes it, and an adapter's folder if any."""

    model: str
    adapter: Path | None
    whole: str | None
    """The folder of a whole model that an earlier step made; None for the recipe's own."""


def start_of(work: Work, ref: str | None) -> Start:
    """Return what an earlier step left; without one, the recipe's model.

    Raises:
        RecipeError: the step has neither a model nor an adapter.
    """
    if ref is None:
        return Start(work.model, None, None)
    outputs = work.inputs.get(ref.partition(".")[0], {})
    model = outputs.get("model")
    adapter = outputs.get("adapter")
    if model is None and adapter is None:
        adapter = work.input(ref, "adapter")  # words the error
    return Start(model or work.model, None if adapter is None else Path(adapter), model)


def open_trained(settings: TrainSettings, work: Work) -> Any:
    """Open the model with the weights to train, everything else frozen.

    Raises:
        UsageError: an endpoint, or axes that do not go together.
    """
    check_axes(settings)
    start = start_of(work, settings.start)
    return OPENERS[settings.train](settings, work, start)


def check_axes(settings: TrainSettings) -> None:
    """Refuse what does not go together.

    Raises:
        UsageError: says which two settings, and what to change.
    """
    bits = settings.optimizer == "mezo" and settings.dtype == "bfloat16"
    if settings.train == "full" and settings.dtype == "bfloat16" and not bits:
        raise UsageError(
            "all weights are trained by gradients in float32: small updates vanish in fewer bits",
            where="train: full", found="dtype: bfloat16", hint="leave dtype out, or train: lora",
        )  # fmt: skip
    if settings.cache_trunk and settings.train not in ("lora", "qlora"):
        raise UsageError(
            "only below adapters is there a frozen trunk to keep", where="cache_trunk",
            found=f"train: {settings.train}", expected="train: lora or qlora",
        )  # fmt: skip


def _seed(work: Work) -> int:
    return derive(work.seed, "lora") >> 1


def _open_lora(settings: TrainSettings, work: Work, start: Start) -> Any:
    from togi.align.tuned import open_local

    model = open_local(
        start.model, adapter=start.adapter, dtype=settings.dtype, offline=work.offline, say=work.say
    )
    if start.adapter is None:
        _add_lora(model.model, settings, work)
    return model


def _add_lora(module: Any, settings: TrainSettings, work: Work) -> None:
    from togi.align.lora import Lora, add_lora

    lora = settings.lora
    targets = lora.targets if isinstance(lora.targets, str) else tuple(lora.targets)
    add_lora(module, Lora(**{**lora.model_dump(), "targets": targets}), seed=_seed(work))


def _open_qlora(settings: TrainSettings, work: Work, start: Start) -> Any:
    from togi.align.nf4_model import Nf4
    from togi.align.tuned import open_local

    nf4 = Nf4(**settings.nf4.model_dump())
    model = open_local(start.model, adapter=start.adapter, dtype=settings.dtype, nf4=nf4,
                       offline=work.offline, say=work.say)  # fmt: skip
    if start.adapter is None:
        _add_lora(model.model, settings, work)
    return model


def _open_full(settings: TrainSettings, work: Work, start: Start) -> Any:
    """Open all weights; an adapter that the step starts from is merged into them first."""
    from togi.align.tuned import merge_in, open_local

    narrow = settings.optimizer == "mezo"
    dtype = settings.dtype if narrow else "float32"
    model = open_local(start.model, adapter=start.adapter, dtype=dtype, offline=work.offline,
                       say=work.say)  # fmt: skip
    if start.adapter is not None:
        work.say("the adapter is merged into the weights before all of them are trained")
        merge_in(model)
    model.model.requires_grad_(True)
    return model


def _open_prefix(settings: TrainSettings, work: Work, start: Start) -> Any:
    from togi.align.prefix import add_prefix
    from togi.align.tuned import open_local

    model = open_local(
        start.model, adapter=start.adapter, dtype=settings.dtype, offline=work.offline, say=work.say
    )
    if start.adapter is None:
        prefix = add_prefix(model.model, settings.prefix, seed=_seed(work))
        model.digest += f"+prefix{row_digest(prefix.weight)}"  # it answers otherwise from now on
    elif getattr(model.model, "soft_prefix", None) is None:
        raise UsageError(
            "a prefix stands before a whole model, not before another adapter",
            where="train: prefix", found=str(settings.start),
            hint="merge that adapter first (togi align merge), or train: full there",
        )  # fmt: skip
    return model


OPENERS: Mapping[str, Callable[[TrainSettings, Work, Start], Any]] = {
    "lora": _open_lora,
    "qlora": _open_qlora,
    "full": _open_full,
    "prefix": _open_prefix,
}


def save_trained(settings: TrainSettings, work: Work, model: Any) -> dict[str, Any]:
    """Save what was trained; returns the outputs `adapter`, `model` or both.

    An adapter that was trained on a whole model of an earlier step names that model too.
    """
    start = start_of(work, settings.start)
    folder, name = work.folder / "adapter", str(model.name)
    if settings.train == "full":
        from togi.align.whole import save_whole

        save_whole(model, work.folder / "model")
        return {"model": "model"}
    if settings.train == "prefix":
        from togi.align.prefix import save_prefix

        save_prefix(model.model, folder, name)
    else:
        from togi.align.lora import save_adapter

        save_adapter(model.model, folder, name)
    return {"adapter": "adapter", **({"model": start.whole} if start.whole else {})}
