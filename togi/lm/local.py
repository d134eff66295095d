"""The local engine: any transformers causal language model behind `score` and `generate`."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from togi.errors import DataError, SurroundingsError, UsageError
from togi.lm import attention
from togi.lm.base import Generated, Sampling, Scored
from togi.lm.forward import Request, answer_scores, stream_scores
from togi.rows.chat import Renderer
from togi.rows.template import PROBE
from togi.rows.types import Prompt

PACK_TOKENS = 2048
"New tokens of one forward pass when scoring: large enough for the products, small for the cache."
ELSEWHERE = "serve it behind an OpenAI-compatible endpoint and judge that"


class LocalModel:
    """A transformers model and its tokenizer as a `LanguageModel`.

    Args:
        model: a causal language model loaded with togi's attention.
        tokenizer: its tokenizer.
        name: how a user knows it.
        digest: a digest of the weights' files, adapters included; with the dtype and the
            template it makes the fingerprint.
        folder: where the weights came from, if from a folder.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        digest: str = "",
        folder: Path | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.folder = folder
        self.digest = digest
        self.renderer = Renderer(tokenizer, max_tokens=self.longest, too_long="error")

    @property
    def longest(self) -> int:
        """The most tokens that the model's positions allow."""
        return int(getattr(self.model.config, "max_position_embeddings", 1 << 20))

    @property
    def fingerprint(self) -> str:
        """A digest of weights, adapter, dtype and chat template."""
        parts = (self.digest or self.name, str(self.model.dtype), self.tokenizer.chat_template)
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Token ids that end an answer."""
        config = getattr(self.model, "generation_config", None)
        ends = getattr(config, "eos_token_id", None)
        ids = set(ends if isinstance(ends, list) else [ends]) | {self.tokenizer.eos_token_id}
        return frozenset(int(i) for i in ids if i is not None)

    def request(self, context: Prompt, continuation: str) -> Request:
        """Render a context and its continuation; an empty context begins with BOS or EOS."""
        if isinstance(context, str) and not context:
            first = self.tokenizer.bos_token_id
            first = self.tokenizer.eos_token_id if first is None else first
            prompt: tuple[int, ...] = (int(first),)
            answer = tuple(self.tokenizer(continuation, add_special_tokens=False)["input_ids"])
        else:
            prompt = self.renderer.prompt_ids(context)
            answer = self.renderer.answer_ids(context, continuation)
        if not answer:
            raise UsageError("a continuation to score is empty", where=self.name)
        self._fits(len(prompt) + len(answer) - 1)  # the last token is only predicted
        return Request(prompt + answer, len(prompt))

    def _fits(self, tokens: int) -> None:
        if tokens > self.longest:
            raise DataError(
                "a text is longer than the model can read",
                where=self.name,
                found=f"{tokens} tokens",
                expected=f"at most {self.longest}",
                hint="shorten or split the longest texts, or choose a model with more positions",
            )

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        """Score each continuation after its context; see `LanguageModel.score`."""
        pairs = zip(contexts, continuations, strict=True)
        return self.score_requests([self.request(c, a) for c, a in pairs])

    def score_requests(self, requests: Sequence[Request]) -> list[Scored]:
        """Score rendered requests, in the order asked."""
        results: list[Scored | None] = [None] * len(requests)
        for pack, scores in stream_scores(self.model, requests, budget=PACK_TOKENS):
            owner = scores.owner.cpu().numpy()
            logprobs = scores.tokens.logprobs.float().cpu().numpy()
            greedy = scores.tokens.greedy.cpu().numpy()
            bounds = np.searchsorted(owner, np.arange(len(pack) + 1))
            for place, index in enumerate(pack):
                part = slice(bounds[place], bounds[place + 1])
                request = requests[index]
                results[index] = Scored(
                    request.ids[request.start :], logprobs[part], bool(greedy[part].all())
                )
        return [r for r in results if r is not None]

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        """Draw answers; each distinct prompt is read once and shared by all of its samples."""
        from togi.lm.generate import generate

        ids = [self.renderer.prompt_ids(p) for p in prompts]
        self._fits(max(map(len, ids), default=0))
        ends = self.stop_ids | self.turn_ends(prompts)
        return generate(self.model, self.tokenizer, ids, sampling, ends, longest=self.longest)

    def turn_ends(self, prompts: Sequence[Prompt]) -> set[int]:
        """Return the token that ends the assistant's turn; base models often do not name it.

        Training ends each answer with it, so an answer that is drawn must end there too.
        """
        for prompt in prompts:
            if not isinstance(prompt, str):
                with contextlib.suppress(DataError):  # templates that cannot be trained with
                    return {self.renderer.answer_ids(prompt, PROBE)[-1]}
        return set()


def load_local(
    folder: Path,
    *,
    name: str = "",
    dtype: str = "auto",
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> LocalModel:
    """Load a folder of safetensors into the local engine.

    Args:
        folder: a transformers model folder.
        name: shown to the user; the folder's name by default.
        dtype: "bfloat16", "float32", or "auto" for bfloat16 where the machine is fast at it.
        device: "cpu", "cuda", "mps", or "auto".
        say: told which device and dtype are used, and why.

    Raises:
        SurroundingsError: the folder's weights cannot be loaded, or the family does not give the
            same answers through the token tree as through its own attention.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from togi.lm.levers import apply_levers

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    apply_levers(say)
    attention.register()
    place = _device(device)
    kind, reason = _dtype(dtype, place)
    say(f"model {name or folder.name}: {place}, {str(kind).removeprefix('torch.')} ({reason})")
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=kind, attn_implementation=attention.NAME, local_files_only=True,
            use_safetensors=True,
        )  # fmt: skip
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        if attention.NAME in str(error):
            raise SurroundingsError(
                "this model family does not use transformers' attention registry, so togi cannot "
                "pack for it",
                where=name or folder.name,
                hint=ELSEWHERE,
            ) from error
        raise SurroundingsError(
            "the model could not be loaded",
            where=str(folder),
            found=(str(error).splitlines() or [type(error).__name__])[0],
            hint="a folder with config.json, safetensors weights and a tokenizer is needed",
        ) from error
    model = model.to(place).eval().requires_grad_(False)
    _probe(model, name or folder.name)
    return LocalModel(
        model, tokenizer, name=name or folder.name, digest=folder_digest(folder), folder=folder
    )


def folder_digest(folder: Path) -> str:
    """Digest a model folder: contents of small files, names, sizes and ends of large ones."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        if path.suffix not in {".json", ".safetensors", ".jinja", ".model", ".txt"}:
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            digest.update(file.read(1 << 20))
            if size > 2 << 20:
                for part in range(1, 65):  # slices all over: adapters and tunings move them all
                    file.seek(part * (size - (1 << 16)) // 64)
                    digest.update(file.read(1 << 16))
            else:
                digest.update(file.read())
    return digest.hexdigest()


def _device(device: str) -> torch.device:
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _dtype(dtype: str, device: torch.device) -> tuple[torch.dtype, str]:
    from togi.lm.levers import bfloat16_pays

    named = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
    if dtype in named:
        return named[dtype], "as asked"
    if dtype != "auto":
        raise UsageError(
            f"dtype must be auto, bfloat16, float32 or float64, got {dtype!r}", where="model"
        )
    if device.type == "cpu":
        fast = bfloat16_pays()
        return (
            (torch.bfloat16, "the faster format on this processor")
            if fast
            else (torch.float32, "bfloat16 is not faster on this processor")
        )
    return torch.bfloat16, "native on this device"


def _probe(model: Any, name: str) -> None:
    """Check that tree, head and the family's own forward agree, before anything depends on it.

    The two sequences part halfway, so that a part of the family which looks at neighbouring rows
    instead of ancestors (a convolution, a recurrence, positions counted by row) shows as well.
    """
    size = model.config.get_text_config().vocab_size
    endings = ((7, 19, 2), (23, 5, 8))
    sequences = [tuple(i % size for i in (11, 7, 301, 45, *ending)) for ending in endings]
    try:
        scores = answer_scores(model, [Request(ids, 1) for ids in sequences])
        theirs = torch.cat([_own_logprobs(model, ids) for ids in sequences])
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise SurroundingsError(  # what foreign code raises at an input it does not foresee
            "this model family does not run through togi's token tree",
            where=name,
            found=f"{type(error).__name__}: {error}".splitlines()[0],
            hint=ELSEWHERE,
        ) from error
    gap = (scores.tokens.logprobs.double() - theirs).abs().max().item()
    limit = 0.25 if model.dtype in (torch.bfloat16, torch.float16) else 1e-2
    if not gap <= limit:
        raise SurroundingsError(
            "this model family gives other answers through togi's token tree than on its own",
            where=name,
            found=f"log-probabilities that differ by {gap:.3g}",
            expected=f"at most {limit}",
            hint=f"its head or layers have a part that togi does not know; {ELSEWHERE}",
        )


@torch.no_grad()
def _own_logprobs(model: Any, ids: tuple[int, ...]) -> torch.Tensor:
    """Return the log-probabilities of ids[1:] by the family's own forward and head."""
    model.set_attn_implementation("eager")
    try:
        given = torch.tensor([ids], device=model.device)
        logprobs = model(given, use_cache=False).logits[0].double().log_softmax(-1)
        return logprobs[:-1].gather(1, given[0, 1:, None])[:, 0]
    finally:
        model.set_attn_implementation(attention.NAME)
