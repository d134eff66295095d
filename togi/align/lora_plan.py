"""Which layers get an adapter, of what rank, and why a wish cannot be met."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from togi.align.lora_layer import LoraLinear, is_linear, lora_layers, sides
from togi.errors import UsageError, nearest
from togi.stats.rng import derive

ALL_LINEAR = "all-linear"
_LAYER = re.compile(r"\.(\d+)\.")
_RANGE = re.compile(r"-(?P<last_n>\d+)|(?P<first>\d+)(?:-(?P<last>\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Settings of the low-rank update; wrong values raise `UsageError` when it is built.

    >>> Lora(rank=8, alpha=16).scale(8, 16), Lora(rank=16, alpha=16, rslora=True).scale(16, 16)
    (2.0, 4.0)
    """

    rank: int = 8
    "Inner width of the update; at least 1 and at most the layer's smaller side."
    alpha: float = 16
    "The update is scaled by alpha / rank."
    dropout: float = 0.0
    "Share of the update's inputs dropped in training; above 0 the slower plain path is used."
    targets: str | Sequence[str] = ALL_LINEAR
    "all-linear (every linear layer but the output head), names such as q_proj, or one regex."
    rslora: bool = False
    "Scale by alpha / sqrt(rank) instead, which keeps large ranks learning."
    dora: bool = False
    "Train the rows' lengths apart from their directions (DoRA); slower."
    layers: str = ""
    "Only these decoder layers, such as 20-29 or -10 for the last ten; all by default."
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    "Other ranks for layers whose name ends so, or matches the regex."
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    "Other alphas for such layers."

    def __post_init__(self) -> None:
        ranks, alphas = [self.rank, *self.rank_pattern.values()], self.alpha_pattern.values()
        checks = [
            (all(rank >= 1 for rank in ranks), "rank", "at least 1"),
            (all(alpha > 0 for alpha in [self.alpha, *alphas]), "alpha", "more than 0"),
            (0 <= self.dropout < 1, "dropout", "in [0, 1)"),
            (len(self.targets) > 0, "targets", "names, a regex or all-linear"),
        ]
        for good, name, expected in checks:
            if not good:
                found, problem = repr(getattr(self, name)), f"{name} is out of range"
                raise UsageError(problem, where=f"lora.{name}", found=found, expected=expected)
        patterns = [*self.rank_pattern, *self.alpha_pattern]
        for pattern in patterns + ([self.targets] if isinstance(self.targets, str) else []):
            try:
                re.compile(pattern)
            except re.error as error:
                raise UsageError(
                    f"not a regular expression: {error}", where="lora", found=pattern
                ) from error

    def scale(self, rank: int, alpha: float) -> float:
        """Return what BA is multiplied by."""
        return alpha / (rank**0.5 if self.rslora else rank)


@dataclass(frozen=True, slots=True)
class Placement:
    """One layer's adapter: where, how wide, how strong."""

    path: str
    rank: int
    alpha: float


def by_pattern(path: str, patterns: Mapping[str, float], default: float) -> float:
    """Return the first pattern's value that the path's end matches, by PEFT's rule.

    >>> by_pattern("model.layers.0.mlp.up_proj", {"up_proj": 4}, 8)
    4
    >>> by_pattern("model.layers.0.mlp.gate_up_proj", {"up_proj": 4}, 8)
    8
    """
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", path):
            return value
    return default


def heads(model: nn.Module) -> set[str]:
    """Return the paths of the output head, as the model itself names it."""
    named = getattr(model, "get_output_embeddings", None)
    head = named() if callable(named) else None
    return {path for path, module in model.named_modules() if module is head and path}


def targeted(model: nn.Module, targets: str | Sequence[str]) -> list[str]:
    """Return the paths of the layers that the targets mean, in the model's order.

    Raises:
        UsageError: when a target matches nothing (names the nearest), or something that is not
            linear, or the output head.
    """
    modules = dict(model.named_modules())
    if targets == ALL_LINEAR:
        head = heads(model)
        found = [path for path, m in modules.items() if is_linear(m) and path not in head]
        if not found:
            raise UsageError("the model has no linear layers", where="lora.targets")
        return found
    if isinstance(targets, str):
        matched = {path for path in modules if re.fullmatch(targets, path)}
        if not matched:
            _nothing(targets, modules, "a regular expression must match the whole path")
    else:
        matched = set()
        for name in targets:
            hits = {path for path in modules if path == name or path.endswith(f".{name}")}
            if not hits:
                _nothing(name, modules, "")
            matched |= hits
    return [path for path in modules if path in matched]


def _nothing(wanted: str, modules: Mapping[str, nn.Module], hint: str) -> None:
    names = {path.rsplit(".", 1)[-1] for path, module in modules.items() if is_linear(module)}
    raise UsageError(
        "no layer has that name",
        where="lora.targets",
        found=repr(wanted),
        expected=nearest(wanted, names),
        hint=hint,
    )


def in_layers(paths: Sequence[str], wanted: str) -> list[str]:
    """Return the paths that lie in the wanted decoder layers, by the first number in each path.

    >>> paths = [f"model.layers.{i}.mlp.up_proj" for i in range(4)]
    >>> in_layers(paths, "1-2"), in_layers(paths, "-1")
    (['model.layers.1.mlp.up_proj', 'model.layers.2.mlp.up_proj'], ['model.layers.3.mlp.up_proj'])
    """
    if not wanted:
        return list(paths)
    numbers = {path: int(match[1]) for path in paths if (match := _LAYER.search(path))}
    count = max(numbers.values(), default=-1) + 1
    match = _RANGE.fullmatch(wanted)
    if match is None:
        raise UsageError(
            "not a range of layers", where="lora.layers", found=wanted,
            expected="such as 20-29, 5, or -10 for the last ten",
        )  # fmt: skip
    if match["last_n"]:
        low, high = count - int(match["last_n"]), count - 1
    else:
        low, high = int(match["first"]), int(match["last"] or match["first"])
    found = [path for path in paths if low <= numbers.get(path, -1) <= high]
    if not found or high >= count or low < 0:
        raise UsageError(
            "the model has no such layers", where="lora.layers", found=wanted,
            expected=f"layers 0 to {count - 1}" if count else "numbered layers",
        )  # fmt: skip
    return found


def plan(model: nn.Module, settings: Lora) -> list[Placement]:
    """Return one placement for each targeted layer, checked against the model."""
    _refuse_second(model)
    placements = [
        Placement(
            path,
            int(by_pattern(path, settings.rank_pattern, settings.rank)),
            by_pattern(path, settings.alpha_pattern, settings.alpha),
        )
        for path in in_layers(targeted(model, settings.targets), settings.layers)
    ]
    check(model, placements)
    return placements


def check(model: nn.Module, placements: Iterable[Placement]) -> None:
    """Refuse what cannot carry an adapter.

    Raises:
        UsageError: for a model with adapters, a layer that is not linear, the output head,
            weights shared with another layer, or a rank above the layer's smaller side.
    """
    _refuse_second(model)
    head, shared = heads(model), _shared(model)
    for placement in placements:
        module = model.get_submodule(placement.path)
        where = f"lora: {placement.path}"
        if not is_linear(module):
            found = type(module).__name__
            raise UsageError("not a linear layer", where=where, found=found, expected="Linear")
        twin = shared.get(id(getattr(module, "weight", None)))
        if placement.path in head or twin:
            raise UsageError(*_why_not(twin), where=where, hint="leave it out of `targets`")
        rank, small = placement.rank, min(sides(module))
        if rank > small:
            raise UsageError(
                "rank is above the layer's smaller side",
                where=where,
                found=str(rank),
                expected=f"at most {small}",
            )


def _refuse_second(model: nn.Module) -> None:
    if lora_layers(model):
        hint = "unload the adapter first, or train on with the one it has"
        raise UsageError("the model already has LoRA adapters", where="lora", hint=hint)


def _why_not(twin: str | None) -> tuple[str]:
    if twin:
        return (f"its weights are tied ({twin}), so merging would change both",)
    return ("the output head runs in pieces of the vocabulary and takes no adapter",)


def _shared(model: nn.Module) -> dict[int, str]:
    names: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
    return {key: " and ".join(found) for key, found in names.items() if len(found) > 1}


def place(
    model: nn.Module, placements: Sequence[Placement], settings: Lora, *, seed: int
) -> list[str]:
    """Freeze the model and put a `LoraLinear` in each place; returns the paths.

    Each layer draws its A from its own stream, named by its path, so that it does not depend on
    which other layers are adapted.
    """
    model.requires_grad_(False)
    for placement in placements:
        parent, _, name = placement.path.rpartition(".")
        base = model.get_submodule(placement.path)
        layer = LoraLinear(
            base,  # pyright: ignore[reportArgumentType]
            rank=placement.rank,
            alpha=placement.alpha,
            dropout=settings.dropout,
            rslora=settings.rslora,
            dora=settings.dora,
            generator=torch.Generator().manual_seed(derive(seed, "lora", placement.path)),
        )
        setattr(model.get_submodule(parent), name, layer.train(base.training))
    return [placement.path for placement in placements]
