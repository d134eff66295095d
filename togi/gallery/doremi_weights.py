"""DoReMi on real text of six domains: weights, and what they do against uniform and proportional.

The text is what every installation of togi has at hand: the standard library's code, its
docstrings, Python's manual, and from the installed packages licences, readmes and C++ headers.
"""

from __future__ import annotations

import ast
import importlib.metadata
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from togi.data.domains import Domains, domains_of
from togi.data.doremi_search import Round, Search, search
from togi.data.mixture_trial import Trial, trial
from togi.data.proxy import BYTES, Shape, by_bytes
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.rows.types import Document, Row
from togi.stats import Estimate
from togi.stats.rng import derive, stream
from togi.step import StepSettings, Work
from togi.train.config import TrainConfig

LEAST, MOST = 60_000, 400_000  # bytes of a domain: its natural share of the total, within these
LONGEST = 4_000  # characters of a document
BATCH, CONTEXT = 12, 96  # pieces of a step, two of each domain; bytes of a piece
RIVALS = ("uniform", "proportional")


class Settings(StepSettings):
    """How much is trained."""

    seeds: int = Field(default=3, ge=2)
    "Proxies, and models for each mixture."
    steps: int = Field(default=600, ge=1)
    "Updates of each of them."
    width: int = Field(default=64, ge=8)
    "Their width, with one layer."
    eta: float = Field(default=0.2, gt=0)
    "Step of the weights; the paper's 1 suits its batches of half a million tokens."
    total: int = Field(default=1_200_000, ge=1)
    "Bytes of text, shared among the domains as their natural sizes are."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Find weights, try them, and write what was found."""
    domains = gathered(settings.total, seed=work.seed)
    for name, count in zip(domains.names, domains.tokens, strict=True):
        work.say(f"{name}: {count:,} bytes to learn from")
    shape = Shape(width=settings.width, layers=1, context=CONTEXT)

    def training(seed: int) -> TrainConfig:
        return TrainConfig(
            steps=settings.steps, batch=BATCH, micro_tokens=4096, lr=1e-2, warmup=0.06,
            betas=(0.9, 0.99), weight_decay=0.01, seed=seed, save_every=200, keep=1,
        )  # fmt: skip

    asked = Search(shape=shape, training=training, eta=settings.eta, seeds=settings.seeds)
    (found,) = search(
        domains, domains.sizes, asked, seed=work.seed, folder=work.folder, say=work.say
    )
    mixtures = {
        "doremi": found.average, "uniform": [1.0] * len(domains.names),
        "proportional": domains.sizes,
    }  # fmt: skip
    tried = trial(
        domains, mixtures, shape, training, seeds=settings.seeds, seed=derive(work.seed, "trial"),
        folder=work.folder / "trial", say=work.say,
    )  # fmt: skip
    return finding(domains, found, tried, settings).write(work.folder)


def finding(domains: Domains, found: Round, tried: Trial, settings: Settings) -> Finding:
    """Return what the trial says of the claim."""
    worst = {rival: tried.worst_gain("doremi", rival) for rival in RIVALS}
    average = {rival: tried.average_gain("doremi", rival) for rival in RIVALS}
    weights = {name: found.weight(number) for number, name in enumerate(domains.names)}
    top = max(weights, key=lambda name: weights[name].mean)
    places = list(enumerate(domains.names))
    gains = tried.bits["proportional"].mean(axis=0) - tried.bits["doremi"].mean(axis=0)
    better = int((gains > 0).sum())
    return Finding(
        name="doremi_weights",
        holds=_holds(worst, average),
        measured=(
            f"DoReMi gives most to {top}, {told(weights[top])}. Over proportional mixing it gains"
            f" {told(worst['proportional'])} bits per byte on the worst domain and"
            f" {told(average['proportional'])} on average, better on {better} of {len(places)}"
            f" domains; over uniform mixing {told(worst['uniform'])} and"
            f" {told(average['uniform'])} (below 0 is worse)."
        ),
        estimates={
            **{f"worst domain, bits per byte gained over {r}": worst[r] for r in RIVALS},
            **{f"average, bits per byte gained over {r}": average[r] for r in RIVALS},
            **{f"worst domain under {m}, bits per byte": tried.worst(m) for m in tried.bits},
            **{f"average under {m}, bits per byte": tried.average(m) for m in tried.bits},
            **{f"weight of {name}": weight for name, weight in weights.items()},
        },
        plots=[
            Plot(
                title="Held-out bits per byte of each domain", kind="scatter",
                x="domain: " + ", ".join(f"{n + 1} {name}" for n, name in places),
                y="bits per byte",
                series={m: [(n + 1.0, tried.domain(m, n)) for n, _ in places] for m in tried.bits},
            ),
            Plot(
                title="Weight against share of the text", kind="scatter",
                x="share of the text", y="DoReMi's weight",
                series={name: [(domains.sizes[n], weights[name])] for n, name in places},
            ),
        ],
        notes=[
            "The paper's rival is mixing by size. Uniform mixing is the harder one where domains"
            " are few and none is noise: DoReMi's weights are then not far from equal.",
            "The paper's proxy has 280 million weights and trains an 8 billion one; here proxy and"
            f" model are alike, one layer of width {settings.width} from scratch over bytes, for"
            f" {settings.steps} steps of {BATCH} pieces of {CONTEXT} bytes; eta is"
            f" {settings.eta:g} where the paper's is 1, as small steps see noise.",
            f"Intervals are over {settings.seeds} seeds on one split of the text; the text depends"
            " on the packages that are installed.",
        ],
        values={"tokens": dict(zip(domains.names, domains.tokens, strict=True))},
    )  # fmt: skip


def _holds(worst: dict[str, Estimate], average: dict[str, Estimate]) -> Holds:
    """Hold where worst domain and average are surely better than under proportional mixing."""
    gains = [worst["proportional"], average["proportional"]]
    if all(gain.low > 0 for gain in gains):
        return "holds"
    return "does not hold here" if any(gain.high < 0 for gain in gains) else "cannot tell"


def gathered(total: int, *, seed: int) -> Domains:
    """Return six domains of the text at hand, of about `total` bytes."""
    texts = {name: list(source()) for name, source in SOURCES.items()}
    sizes = {name: sum(map(len, some)) for name, some in texts.items()}
    rows: dict[str, list[Row]] = {}
    for name, some in texts.items():
        wanted = min(max(LEAST, total * sizes[name] / sum(sizes.values())), MOST)
        kept: list[Row] = []
        size = 0
        for place in stream(seed, "text", name).permutation(len(some)).tolist():
            if size >= wanted:
                break
            kept.append(Document(id=str(place), text=some[place]))
            size += len(some[place])
        rows[name] = kept
    return domains_of(
        rows, lambda row: row.text if isinstance(row, Document) else "", by_bytes, first=BYTES,
        context=CONTEXT, held_out=0.15, seed=seed, where="gallery",
    )  # fmt: skip


def _cut(text: str) -> Iterator[str]:
    for start in range(0, len(text), LONGEST):
        yield text[start : start + LONGEST]


def _modules() -> Iterator[str]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.glob("*.py")) + sorted(root.glob("[a-h]*/*.py")):
        if path.parts[-2] not in ("encodings", "site-packages"):
            yield path.read_text(encoding="utf-8", errors="replace")


def _code() -> Iterator[str]:
    for text in _modules():
        yield from _cut(text)


def _docstrings() -> Iterator[str]:
    for text in _modules():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                told_of = ast.get_docstring(node)
                if told_of and len(told_of) > 80:
                    yield from _cut(told_of)


def _manual() -> Iterator[str]:
    from pydoc_data.topics import topics

    for text in topics.values():
        yield from _cut(text)


def _files(match: Callable[[str], bool], most: int = 400) -> Iterator[str]:
    """Yield the distinct files of the installed packages whose path matches."""
    seen: set[str] = set()
    for one in sorted(importlib.metadata.distributions(), key=lambda d: d.metadata["Name"] or ""):
        for file in one.files or ():
            if len(seen) < most and match(str(file)):
                path = Path(str(file.locate()))
                text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
                if text and text not in seen:
                    seen.add(text)
                    yield text


def _licences() -> Iterator[str]:
    wanted = ("LICENSE", "LICENCE", "COPYING")
    for text in _files(lambda path: Path(path).name.upper().startswith(wanted)):
        yield from _cut(text)


def _readmes() -> Iterator[str]:
    for text in _files(lambda path: path.endswith(".dist-info/METADATA")):
        yield from _cut(text.partition("\n\n")[2])


def _headers() -> Iterator[str]:
    for text in _files(lambda path: path.startswith("torch/include/c10/") and path.endswith(".h")):
        yield from _cut(text)


SOURCES: dict[str, Callable[[], Iterator[str]]] = {
    "code": _code,
    "docstrings": _docstrings,
    "headers": _headers,
    "licences": _licences,
    "manual": _manual,
    "readmes": _readmes,
}
