"""togi's engine as the model provider `togi` of Inspect, so that its tasks run on it.

    inspect eval task.py --model togi/smollm2-135m -M dtype=float32 -M adapter=runs/a/adapter

Inspect finds it by this package's entry point. It asks for one answer at a time, from many tasks at
once; what is waiting is answered together, and prompts that share a beginning share its work.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from togi.errors import UsageError
from togi.lm.base import Generated, Sampling
from togi.plugins.chat import SYSTEM, rendered
from togi.plugins.engine import open_engine
from togi.plugins.together import Together
from togi.rows.types import Message

if TYPE_CHECKING:
    from togi.lm.local import LocalModel

MOST = 64
"Requests that Inspect has open at a time, which is the largest batch."
REFUSED = (
    "best_of", "frequency_penalty", "presence_penalty", "logit_bias", "response_schema",
    "top_logprobs", "prompt_logprobs",
)  # fmt: skip
"Inspect's settings that would change an answer and that this engine does not have."


def sampling_of(config: Any, *, longest: int) -> Sampling:
    """Read Inspect's `GenerateConfig`; where it names no temperature, it is 1.

    Raises:
        UsageError: a setting that would change answers and that this engine does not have.
    """
    for name in REFUSED:
        if getattr(config, name, None) not in (None, {}, []):
            raise UsageError(
                f"{name} is not known to togi's engine", where="GenerateConfig",
                hint="leave it out, or run the task on another provider",
            )  # fmt: skip
    return Sampling(
        max_tokens=config.max_tokens or longest,
        temperature=1.0 if config.temperature is None else config.temperature,
        top_p=config.top_p or 1.0,
        top_k=config.top_k or 0,
        stop=tuple(config.stop_seqs or ()),
        n=config.num_choices or 1,
        seed=config.seed or 0,
    )


class Engine:
    """The model behind the provider: turns in, answers out.

    Args:
        spec: a catalogue name, a hub id or a model folder.
        adapter: a folder in PEFT's layout that goes on top.
        dtype: auto, bfloat16 or float32.
        device: cpu, cuda, …; chosen by itself where not given.
        system: what is done with a system turn that the chat template refuses: refuse, drop, user.
        offline: never use the network.
    """

    def __init__(
        self,
        spec: str,
        adapter: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        system: str = "refuse",
        offline: bool = False,
    ) -> None:
        if system not in SYSTEM:
            raise UsageError(f"system is {system!r}", where="-M", expected=", ".join(SYSTEM))
        self.local: LocalModel = open_engine(spec, adapter, dtype, device, offline)
        self.system = system
        self.together = Together(self._answer)

    @functools.cached_property
    def ends(self) -> frozenset[int]:
        """Token ids that end a turn."""
        return self.local.stop_ids | self.local.turn_ends([(Message("user", "?"),)])

    def _answer(
        self, prompts: Sequence[tuple[int, ...]], sampling: Sampling
    ) -> list[list[Generated]]:
        from togi.lm.generate import generate

        local = self.local
        return generate(
            local.model, local.tokenizer, prompts, sampling, self.ends, longest=local.longest
        )

    def ids(self, turns: Sequence[dict[str, str]], room: int) -> tuple[int, ...]:
        """Return a conversation's token ids, up to the assistant's next turn.

        Raises:
            UsageError: it leaves no room for an answer.
            DataError: the chat template refuses it.
        """
        text = rendered(self.local.tokenizer, turns, True, self.system)
        ids = tuple(self.local.tokenizer(text, add_special_tokens=False)["input_ids"])
        if len(ids) + room > self.local.longest:
            raise UsageError(
                "a question leaves no room for its answer", where=self.local.name,
                found=f"{len(ids)} tokens, and {room} for the answer",
                expected=f"at most {self.local.longest}", hint="lower max_tokens",
            )  # fmt: skip
        return ids


def turn_of(role: str, text: str) -> dict[str, str]:
    """Return a turn as chat templates take it.

    Raises:
        UsageError: a tool's turn, which this engine does not have.
    """
    if role not in ("system", "user", "assistant"):
        raise UsageError(f"togi's engine has no turns of the role {role!r}", where="Inspect")
    return {"role": role, "content": text}


def provider() -> type[Any]:
    """Return the provider's class, made of Inspect's own; called by Inspect's registry."""
    import anyio
    from inspect_ai.model import (  # pyright: ignore[reportMissingImports]
        ChatCompletionChoice,
        ChatMessageAssistant,
        GenerateConfig,
        Logprob,
        Logprobs,
        ModelAPI,
        ModelOutput,
        ModelUsage,
    )

    class TogiAPI(ModelAPI):
        """togi's local engine behind Inspect's chat."""

        def __init__(
            self, model_name: str, base_url: str | None = None, api_key: str | None = None,
            config: Any = None, **model_args: Any,
        ) -> None:  # fmt: skip
            super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
            self.engine = Engine(model_name, **model_args)
            self.threads = anyio.CapacityLimiter(MOST)

        def max_connections(self) -> int:
            return MOST

        async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
            if tools:
                raise UsageError("togi's engine calls no tools", where=self.model_name)
            room = self.max_tokens() or 2048
            sampling = sampling_of(config, longest=room)
            turns = [turn_of(message.role, message.text) for message in input]
            ids = self.engine.ids(turns, sampling.max_tokens)
            drawn = await anyio.to_thread.run_sync(
                self.engine.together, ids, sampling, limiter=self.threads
            )
            made = sum(len(one.token_ids) for one in drawn)
            return ModelOutput(
                model=self.model_name,
                choices=[self._choice(one, bool(config.logprobs)) for one in drawn],
                usage=ModelUsage(
                    input_tokens=len(ids), output_tokens=made, total_tokens=len(ids) + made
                ),
            )

        def _choice(self, one: Generated, logprobs: bool) -> Any:
            spelt = [self.engine.local.tokenizer.decode([token]) for token in one.token_ids]
            told = [
                Logprob(token=token, logprob=float(value))
                for token, value in zip(spelt, one.logprobs, strict=False)
            ]
            return ChatCompletionChoice(
                message=ChatMessageAssistant(
                    content=one.text, model=self.model_name, source="generate"
                ),
                stop_reason="stop" if one.finish == "stop" else "max_tokens",
                logprobs=Logprobs(content=told) if logprobs else None,
            )

    return TogiAPI


try:  # the entry point is loaded by Inspect; without it nothing here is registered
    from inspect_ai.model import modelapi  # pyright: ignore[reportMissingImports]

    @modelapi(name="togi")
    def togi() -> type[Any]:
        """Return the provider `togi` for Inspect's registry."""
        return provider()

except ImportError:
    pass
