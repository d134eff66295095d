"""What lm-evaluation-harness asks, in togi's words: sampling, lengths, equal requests, chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from togi.errors import DataError, UsageError, nearest
from togi.lm.base import Sampling

Found = TypeVar("Found")

CHUNK = 1024
"Requests between two moves of the progress bar; they come sorted, so little is shared between two."
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"lm-eval's names of an answer's longest length, the first given one counts."
KNOWN = (*LENGTHS, "until", "do_sample", "temperature", "top_p", "top_k")


def sampling_of(options: Mapping[str, Any], *, longest: int, seed: int) -> Sampling:
    r"""Read lm-eval's `generation_kwargs`.

    Args:
        options: as a task gives them.
        longest: length of an answer where the task says none, in tokens.
        seed: of the draws.

    Raises:
        UsageError: an option that this engine does not have.

    >>> sampling_of({"until": "\\n", "do_sample": False, "temperature": 0.7}, longest=9, seed=0)
    Sampling(max_tokens=9, temperature=0.0, top_p=1.0, top_k=0, stop=('\\n',), n=1, seed=0)
    """
    for name in options:
        if name not in KNOWN:
            raise UsageError(
                f"generation option {name!r} is not known to togi's engine",
                where="generation_kwargs",
                found=f"{name}={options[name]!r}",
                expected=nearest(name, KNOWN),
                hint="set what is known by --gen_kwargs, or run the task on another model type",
            )
    until = options.get("until") or []
    stop = [until] if isinstance(until, str) else list(until)
    given = [options[name] for name in LENGTHS if options.get(name) is not None]
    temperature = float(options.get("temperature") or 0.0)
    sampled = options.get("do_sample", temperature > 0)
    return Sampling(
        max_tokens=int(given[0]) if given else longest,
        temperature=temperature if sampled else 0.0,
        top_p=float(options.get("top_p") or 1.0),
        top_k=int(options.get("top_k") or 0),
        stop=tuple(text for text in stop if text),
        seed=seed,
    )


def repeated(keys: Sequence[Any]) -> list[tuple[Any, int]]:
    """Give equal requests numbers: the second of them is the second draw of the same answer.

    >>> repeated(["a", "b", "a"])
    [('a', 0), ('b', 0), ('a', 1)]
    """
    seen: Counter[Any] = Counter()
    numbered = []
    for key in keys:
        numbered.append((key, seen[key]))
        seen[key] += 1
    return numbered


def clipped(context: Sequence[int], answer: Sequence[int], longest: int) -> tuple[list[int], int]:
    """Join a context and what follows, cut from the left to what the model can read.

    The last token is only predicted, so one more than `longest` fits.

    Returns:
        The ids, and where the answer begins in them.

    Raises:
        DataError: the answer is empty, or alone is longer than the model can read.

    >>> clipped([1, 2, 3], [4, 5], 3)
    ([2, 3, 4, 5], 2)
    """
    if not answer:
        raise DataError(
            "a continuation has no token of its own: the tokenizer merges it with the context",
            where="lm-eval",
            expected="a continuation that begins with a space, or a context that ends in a mark",
        )
    if len(answer) > longest:
        raise DataError(
            "a continuation is longer than the model can read",
            where="lm-eval",
            found=f"{len(answer)} tokens",
            expected=f"at most {longest}",
        )
    ids = [*context, *answer][-(longest + 1) :]
    return ids, len(ids) - len(answer)


def chunks(places: list[Found], what: str, disable: bool) -> Iterator[list[Found]]:
    """Yield parts of a list under a progress bar.

    >>> [part for part in chunks([1, 2], "Scoring", True)]
    [[1, 2]]
    """
    from tqdm import tqdm

    with tqdm(total=len(places), desc=what, disable=disable) as bar:
        for start in range(0, len(places), CHUNK):
            part = places[start : start + CHUNK]
            yield part
            bar.update(len(part))
