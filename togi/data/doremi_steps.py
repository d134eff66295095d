"""The recipe's steps `data.doremi` (weights of domains) and `data.mixture` (rows drawn by them)."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from togi.errors import RecipeError, UsageError, nearest
from togi.rows.types import Row
from togi.stats.rng import derive
from togi.step import StepRef, StepSettings, Work

if TYPE_CHECKING:
    from togi.data.domains import Domains
    from togi.data.doremi_search import Round, Search
    from togi.train.config import TrainConfig


class DomainSettings(StepSettings):
    """Where the domains' rows come from."""

    domains: dict[str, StepRef] = Field(default={})
    "Domain -> the step whose rows it has."
    rows: StepRef | None = None
    "One step's rows instead, told apart by `by`."
    by: str = Field(default="domain", min_length=1)
    "The metadata key that holds a row's domain, with `rows`; dots lead into nested values."
    features: str | None = None
    "The text that is looked at, such as `{response}`; by default the prompt and the answer."

    leave_out: list[str] = Field(default=[])
    "Domains that are not looked at."

    @model_validator(mode="after")
    def _one_source(self) -> DomainSettings:
        if bool(self.domains) == (self.rows is not None):
            raise UsageError("give either 'domains' or 'rows'")
        return self


class DoremiSettings(DomainSettings):
    """Find the weights of domains that leave the worst of them best learnt (DoReMi)."""

    reference: Literal["size", "uniform"] | dict[str, float] = "size"
    "The reference's mixture: by tokens, equal parts, or weights by domain."
    eta: float = Field(default=1.0, gt=0)
    "Step of the weights."
    smoothing: float = Field(default=1e-3, ge=0, lt=1)
    "Share of the uniform weights that is mixed in."
    clip: Literal["token", "domain"] = "token"
    "Cut off excess loss below 0 token by token (the paper), or only in a domain's mean."
    loss: Literal["domains", "tokens"] = "domains"
    "The proxy learns from weighted domain means (the paper) or weighted tokens (its code)."
    rounds: int = Field(default=1, ge=1)
    "At most so many rounds, each with the last one's weights for its reference."
    seeds: int = Field(default=1, ge=1)
    "Proxies a round; with several, weights have intervals."
    steps: int = Field(default=400, ge=1)
    "Updates of the reference and of each proxy."
    batch: int = Field(default=16, ge=1)
    "Pieces of text in one update."
    context: int = Field(default=128, ge=2)
    "Tokens of a piece."
    width: int = Field(default=64, ge=8)
    "Width of the proxy and its reference."
    layers: int = Field(default=2, ge=1)
    "Layers of these models."
    heads: int = Field(default=4, ge=1)
    "Attention heads of these models."
    tokens: Literal["bytes", "model"] = "bytes"
    "What they read: bytes, or the tokens of the recipe's model."
    lr: float = Field(default=3e-3, gt=0)
    "Highest learning rate."
    micro_tokens: int = Field(default=4096, ge=1)
    "Tokens that go through a model at once; memory and speed only."
    held_out: float = Field(default=0.1, gt=0, lt=1)
    "Share of each domain's rows to judge by."
    compare: int = Field(default=0, ge=0)
    "Seeds for a trial of the weights against uniform and proportional mixing; 0 is none."
    budget: float | None = Field(default=None, gt=0)
    "Tokens of the training to come: tells the epochs of each domain."
    save_every: int = Field(default=100, ge=0)
    "Steps between checkpoints."


class MixtureSettings(DomainSettings):
    """Draw rows by the weights of their domains."""

    weights: StepRef | None = None
    "A step that found weights, such as `data.doremi`."
    file: str = ""
    "A JSON file of weights, as DoReMi's authors keep them."
    shares: dict[str, float] = Field(default={})
    "The weights themselves, by domain."
    n: int = Field(ge=1)
    "Rows to draw; beyond a domain's rows they come again, with ids that say so."
    unit: Literal["text", "rows"] = "text"
    "What the weights are shares of: of the text, or of the rows."

    @model_validator(mode="after")
    def _one_mixture(self) -> MixtureSettings:
        if sum((self.weights is not None, bool(self.file), bool(self.shares))) != 1:
            raise UsageError("give one of 'weights', 'file' and 'shares'")
        return self


def rows_by_domain(settings: DomainSettings, work: Work) -> dict[str, list[Row]]:
    """Return each domain's rows, the names sorted.

    Raises:
        DataError: fewer than two domains, or one without rows.
        RecipeError: one to leave out that is none.
    """
    from togi.data.domains import by_key, require_domains
    from togi.rows.read import read_rows

    if settings.rows is not None:
        found = by_key(read_rows(work.input(settings.rows, "rows")), settings.by, work.name)
    else:
        found = {
            name: list(read_rows(work.input(ref, "rows"))) for name, ref in settings.domains.items()
        }
    for name in settings.leave_out:
        if name not in found:
            raise RecipeError(
                f"no domain '{name}'", where=f"step '{work.name}', leave_out",
                expected=nearest(name, found),
            )  # fmt: skip
        del found[name]
    require_domains(found, work.name)
    return dict(sorted(found.items()))


def run_doremi(settings: DoremiSettings, work: Work) -> dict[str, Any]:
    """Find the weights; outputs `weights`, `doremi` and `trajectory`."""
    from togi.data.doremi_report import about
    from togi.data.doremi_search import search
    from togi.data.mixture import matched, overworked, plan
    from togi.data.mixture_trial import trial

    domains, asked = prepared(settings, work)
    names, uniform = domains.names, [1.0] * len(domains.names)
    start = {"size": domains.sizes, "uniform": uniform}
    reference = (
        matched(settings.reference, names, f"{work.name}, reference")
        if isinstance(settings.reference, dict)
        else start[settings.reference]
    )
    seed = derive(work.seed, work.name)
    rounds = search(domains, reference, asked, seed=seed, folder=work.folder, say=work.say)
    weights = dict(zip(names, rounds[-1].average.tolist(), strict=True))
    told = about(domains, rounds, settings.model_dump(include=set(SAID)))
    if settings.compare:
        mixtures = {"doremi": rounds[-1].average, "uniform": uniform, "proportional": domains.sizes}
        told["trial"] = trial(
            domains, mixtures, asked.shape, asked.training, seeds=settings.compare, seed=seed,
            folder=work.folder / "trial", say=work.say,
        ).as_dict()  # fmt: skip
    if settings.budget is not None:
        sizes = dict(zip(names, map(float, domains.tokens), strict=True))
        shares = plan(weights, sizes, settings.budget)
        told["plan"] = [
            {"domain": s.domain, "tokens": s.tokens, "epochs": s.epochs} for s in shares
        ]
        told["warnings"] += overworked(shares)
    for line in told["warnings"]:
        work.say(f"{work.name}: {line}")
    _leave(work.folder, weights, told, rounds)
    return {
        "weights": "weights.json", "doremi": "doremi.json", "trajectory": "trajectory.csv",
        "notes": told["warnings"],
    }  # fmt: skip


SAID = ("eta", "smoothing", "clip", "loss", "seeds", "steps", "batch", "context", "width", "layers",
        "tokens", "lr")  # fmt: skip
"""Settings that the report shows."""


def prepared(settings: DoremiSettings, work: Work) -> tuple[Domains, Search]:
    """Return the domains' pieces, and what the search is told."""
    from togi.data.domains import domains_of
    from togi.data.doremi_search import Search
    from togi.data.proxy import BYTES, Shape, by_bytes, by_tokenizer
    from togi.data.render import Renderer

    encode, first, vocabulary = by_bytes, BYTES, BYTES + 1
    if settings.tokens == "model":
        from transformers import AutoTokenizer

        from togi.lm.catalogue import resolve

        folder = resolve(work.model, offline=work.offline, say=work.say)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        begins = [tokenizer.bos_token_id, tokenizer.eos_token_id, 0]
        encode, first = by_tokenizer(tokenizer), next(i for i in begins if i is not None)
        vocabulary = len(tokenizer)
    shape = Shape(
        width=settings.width, layers=settings.layers, heads=settings.heads,
        context=settings.context, vocabulary=vocabulary,
    )  # fmt: skip
    domains = domains_of(
        rows_by_domain(settings, work), Renderer(settings.features, work.name), encode,
        first=first, context=settings.context, held_out=settings.held_out,
        seed=derive(work.seed, work.name), where=work.name,
    )  # fmt: skip
    return domains, Search(
        shape=shape, training=lambda seed: _training(settings, seed), eta=settings.eta,
        smoothing=settings.smoothing, clip=settings.clip, loss=settings.loss,
        rounds=settings.rounds, seeds=settings.seeds,
    )  # fmt: skip


def _training(settings: DoremiSettings, seed: int) -> TrainConfig:
    from togi.train.config import TrainConfig

    return TrainConfig(
        steps=settings.steps, batch=settings.batch, micro_tokens=settings.micro_tokens,
        lr=settings.lr, warmup=0.06, betas=(0.9, 0.99), weight_decay=0.01, seed=seed,
        save_every=settings.save_every, keep=1,
    )  # fmt: skip


def _leave(
    folder: Path, weights: Mapping[str, float], told: dict[str, Any], rounds: list[Round]
) -> None:
    """Write the weights as the authors' code reads them, the study, and the weights' way."""
    from togi.data.mixture import KEY
    from togi.train.files import write_text
    from togi.train.metrics import read_metrics

    both = {KEY: dict(weights), "eval_domain_weights": dict(weights)}
    write_text(folder / "weights.json", json.dumps(both, indent=1, ensure_ascii=False) + "\n")
    text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(folder / "doremi.json", text + "\n")
    with (folder / "trajectory.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["round", "proxy", "step", "domain", "alpha", "excess"])
        for number, done in enumerate(rounds, 1):
            for proxy, log in enumerate(done.logs, 1):
                for line in read_metrics(log):
                    for name in weights:
                        row = [line.get(f"alpha/{name}"), line.get(f"excess/{name}")]
                        table.writerow([number, proxy, line["step"], name, *row])


def run_mixture(settings: MixtureSettings, work: Work) -> dict[str, Any]:
    """Draw rows; outputs `rows`, `mixture` and `n`."""
    from togi.data.mixture import matched, read_weights
    from togi.data.mixture_rows import draw_rows
    from togi.data.render import Renderer
    from togi.rows.write import write_rows

    rows, where = rows_by_domain(settings, work), "shares"
    weights: dict[str, float] = settings.shares
    if not weights:
        where = settings.file or str(work.input(settings.weights or "", "weights"))
        weights = read_weights(Path(where).expanduser())
    wanted = dict(zip(rows, matched(weights, list(rows), where), strict=True))
    found = draw_rows(
        rows, wanted, settings.n, Renderer(settings.features, work.name),
        seed=derive(work.seed, work.name), by_text=settings.unit == "text",
    )  # fmt: skip
    write_rows(work.folder / "rows.jsonl", found.rows)
    text = json.dumps(found.told, indent=1, ensure_ascii=False, allow_nan=False)
    (work.folder / "mixture.json").write_text(text + "\n", encoding="utf-8")
    for line in found.told["warnings"]:
        work.say(f"{work.name}: {line}")
    return {
        "rows": "rows.jsonl", "mixture": "mixture.json", "n": len(found.rows),
        "notes": found.told["warnings"],
    }  # fmt: skip
