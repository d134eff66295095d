"""togi's engine as the model `togi` of lm-evaluation-harness, so that its tasks run on it.

From lm-eval 0.4.14 on it is found by this package's entry point `lm_eval.models`:

    lm_eval --model togi --model_args pretrained=smollm2-135m --tasks arc_easy

Earlier releases look into no other package; `togi evaluate lm-eval`, with the same arguments,
starts lm-eval's own command line with the model registered. Token ids are lm-eval's (context and
continuation are spelt together), so that the numbers are those of its own `hf` model; what differs
is the work: requests that share a beginning share its computation, and nothing is padded.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

from togi.errors import SurroundingsError, UsageError, nearest
from togi.plugins.chat import SYSTEM
from togi.plugins.engine import open_engine, tell
from togi.plugins.requests import chunks, clipped, repeated, sampling_of

try:  # the entry point is loaded by lm-eval; without it only `main` is called, and says so
    from lm_eval.api.model import TemplateLM  # pyright: ignore[reportMissingImports]
    from lm_eval.api.registry import register_model  # pyright: ignore[reportMissingImports]
except ImportError:
    TemplateLM: Any = object

    def register_model(*_: str) -> Callable[[type], type]:
        """Leave a class as it is."""
        return lambda cls: cls


if TYPE_CHECKING:
    from togi.lm.base import Sampling

Encoded: TypeAlias = tuple[Any, list[int], list[int]]
"""What lm-eval calls a request, the context's token ids, the continuation's."""


@register_model("togi")
class TogiLM(TemplateLM):
    """togi's local engine behind lm-eval's three kinds of requests and its chat templates.

    Args:
        pretrained: a catalogue name, a hub id or a model folder.
        adapter: a folder in PEFT's layout that goes on top.
        dtype: auto, bfloat16 or float32.
        device: cpu, cuda, …; chosen by itself where not given.
        max_length: most tokens read at once; the model's own limit by default.
        max_gen_toks: length of an answer where a task says none.
        add_bos_token: force or forbid the tokenizer's beginning-of-text token.
        prefix_token_id: what an empty context begins with; BOS, else EOS, by default.
        seed: of sampled answers; the n-th equal request is the n-th draw.
        system: what is done with a system turn that the chat template refuses: refuse, drop (as
            lm-eval's hf model does), or user: it begins the user's first turn.
        offline: never use the network.
        batch_size, max_batch_size: lm-eval passes them always; requests are packed by their
            tokens instead.
    """

    backend = "causal"

    def __init__(  # noqa: PLR0913 - lm-eval's model_args
        self,
        pretrained: str = "smollm2-135m",
        adapter: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        add_bos_token: bool | None = None,
        prefix_token_id: int | None = None,
        seed: int = 0,
        system: str = "refuse",
        offline: bool = False,
        batch_size: Any = None,
        max_batch_size: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        _check(unknown, system)
        self.local = open_engine(str(pretrained), adapter, str(dtype), device, offline)
        self.tokenizer = self.local.tokenizer
        self.max_length = int(max_length or self.local.longest)
        self.max_gen_toks, self.seed, self.system = int(max_gen_toks), int(seed), system
        self._bos, self._prefix = add_bos_token, prefix_token_id
        self._remembered = lru_cache(maxsize=4096)(self._encode)

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """What stands before the first token of a text without a context."""
        named = (self._prefix, self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        return next(int(token) for token in named if token is not None)

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """Return a text's token ids as lm-eval's hf model does; texts that recur are remembered."""
        return list(self._remembered(string, add_special_tokens))

    def _encode(self, text: str, special: bool | None) -> list[int]:
        flag = self._bos if special is None else special
        if special is None and text.startswith(self.tokenizer.decode(self.prefix_token_id)):
            flag = False  # it is written out already
        given = {} if flag is None else {"add_special_tokens": flag}
        return self.tokenizer.encode(text, **given)

    # --- likelihoods ------------------------------------------------------------------------------

    def _loglikelihood_tokens(
        self, requests: Sequence[Encoded], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        """Score continuations given as token ids; lm-eval's `loglikelihood` calls it."""
        from togi.lm.forward import Request

        asked = [clipped(context, answer, self.max_length) for _, context, answer in requests]
        cut = sum(
            len(ids) < len(context) + len(answer)
            for (ids, _), (_, context, answer) in zip(asked, requests, strict=True)
        )
        if cut:
            tell(
                f"{cut} of {len(asked)} requests were cut from the left: they are longer than "
                f"the {self.max_length} tokens that the model can read"
            )
        found: list[Any] = [None] * len(asked)
        order = sorted(range(len(asked)), key=lambda place: asked[place][0])
        for part in chunks(order, "Scoring", disable_tqdm):
            scored = self.local.score_requests(
                [Request(tuple(asked[place][0]), asked[place][1]) for place in part]
            )
            for place, one in zip(part, scored, strict=True):
                found[place] = (one.total, one.greedy)
                if requests[place][0] is not None:
                    self.cache_hook.add_partial("loglikelihood", requests[place][0], found[place])
        return found

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Return the log-probability of whole texts, in windows where one is too long."""
        from lm_eval.utils import (  # pyright: ignore[reportMissingImports]
            get_rolling_token_windows,
            make_disjoint_window,
        )

        windows: list[Encoded] = []
        owners: list[int] = []
        for place, request in enumerate(requests):
            ids = self.tok_encode(request.args[0])
            parts = get_rolling_token_windows(
                token_list=ids, prefix_token=self.prefix_token_id, max_seq_len=self.max_length,
                context_len=1,
            )  # fmt: skip
            windows += [(None, *make_disjoint_window(part)) for part in parts]
            owners += [place] * (len(windows) - len(owners))
        totals = [0.0] * len(requests)
        scored = self._loglikelihood_tokens(windows, disable_tqdm)
        for owner, (total, _) in zip(owners, scored, strict=True):
            totals[owner] += total
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    # --- answers ----------------------------------------------------------------------------------

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Draw an answer to each request; equal sampled requests get draws of their own."""
        groups: dict[Sampling, list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            sampling = sampling_of(request.args[1], longest=self.max_gen_toks, seed=self.seed)
            groups[sampling].append(place)
        answers = [""] * len(requests)
        for sampling, places in groups.items():
            for part in chunks(places, "Answering", disable_tqdm):
                texts = self._drawn([requests[place].args[0] for place in part], sampling)
                for place, text in zip(part, texts, strict=True):
                    answers[place] = text
                    self.cache_hook.add_partial("generate_until", requests[place].args, text)
        return answers

    def _drawn(self, contexts: Sequence[str], sampling: Sampling) -> list[str]:
        from togi.lm.generate import generate

        room = self.max_length - sampling.max_tokens
        if room < 1:
            raise UsageError(
                "an answer's longest length leaves no room for its question",
                where="lm-eval",
                found=f"{sampling.max_tokens} of {self.max_length} tokens",
                hint="lower it by --gen_kwargs max_gen_toks=…",
            )
        whole = [self.tok_encode(context) for context in contexts]
        if cut := sum(len(ids) > room for ids in whole):
            tell(
                f"{cut} of {len(whole)} questions were cut from the left to leave room for "
                f"answers of {sampling.max_tokens} tokens"
            )
        prompts = [tuple(ids[-room:]) for ids in whole]
        numbered = repeated(prompts)
        many = 1 if sampling.temperature == 0 else 1 + max(number for _, number in numbered)
        distinct = list(dict.fromkeys(prompts))
        drawn = generate(
            self.local.model, self.tokenizer, distinct, replace(sampling, n=many),
            self.local.stop_ids, longest=self.max_length,
        )  # fmt: skip
        by_prompt = dict(zip(distinct, drawn, strict=True))
        return [by_prompt[prompt][number % many].text for prompt, number in numbered]

    # --- chat -------------------------------------------------------------------------------------

    @property
    def tokenizer_name(self) -> str:
        """Names lm-eval's cache of requests."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return a conversation as the tokenizer's chat template writes it."""
        from togi.plugins.chat import rendered

        return rendered(self.tokenizer, chat_history, add_generation_prompt, self.system)


def _check(unknown: Mapping[str, Any], system: str) -> None:
    """Refuse what is no argument of this model."""
    known = [name for name in TogiLM.__init__.__annotations__ if name not in ("unknown", "return")]
    for name in unknown:
        raise UsageError(
            f"model_args: '{name}' is not known", where="--model togi", hint=nearest(name, known)
        )
    if system not in SYSTEM:
        raise UsageError(
            f"model_args: system is {system!r}", where="--model togi", expected=", ".join(SYSTEM)
        )


def main(arguments: Sequence[str]) -> None:
    """Start lm-eval's own command line, with `--model togi` where none is named.

    Raises:
        SurroundingsError: lm-eval is not installed.
    """
    if find_spec("lm_eval") is None:
        raise SurroundingsError(
            "lm-evaluation-harness is not installed",
            where="togi evaluate lm-eval",
            hint="pip install lm-eval",
        )
    from lm_eval.__main__ import cli_evaluate  # pyright: ignore[reportMissingImports]

    given = list(arguments)
    runs = not given or given[0] not in ("ls", "validate", "-h", "--help")
    if runs and not any(one in ("--model", "-M") or one.startswith("--model=") for one in given):
        given += ["--model", "togi"]
    sys.argv = ["lm_eval", *given]  # lm-eval reads its arguments from there
    cli_evaluate()
