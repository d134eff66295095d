"""The local engine: any transformers causal language model behind `score` and `generate`."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from togi.errors import DataError, UsageError
from togi.lm import attention
from togi.lm.base import Generated, Sampling, Scored
from togi.lm.forward import Request, stream_scores
from togi.lm.opening import loading, probe, ready
from togi.rows.chat import Renderer
from togi.rows.template import PROBE
from togi.rows.types import Prompt

PACK_TOKENS = 2048
"New tokens of one forward pass when scoring: large enough for the products, small for the cache."


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
    from transformers import AutoModelForCausalLM

    name = name or folder.name
    place, kind = ready(name, dtype, device, say)
    with loading(folder, name):
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=kind, attn_implementation=attention.NAME, local_files_only=True,
            use_safetensors=True,
        )  # fmt: skip
    return finished(model.to(place), folder, name)


def finished(model: Any, folder: Path, name: str, *, mark: str = "") -> LocalModel:
    """Freeze a loaded model, check that its family fits the tree, and give it its tokenizer.

    Args:
        mark: joins the digest where the weights are not those of the files.
    """
    from transformers import AutoTokenizer

    with loading(folder, name):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = model.eval().requires_grad_(False)
    probe(model, name)
    digest = folder_digest(folder) + mark
    return LocalModel(model, tokenizer, name=name, digest=digest, folder=folder)


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
