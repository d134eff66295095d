"""From what a user wrote after `model:` to a language model."""

from __future__ import annotations

from collections.abc import Callable

from togi.errors import SurroundingsError, UsageError
from togi.lm.base import LanguageModel
from togi.lm.cache import Cached, ReplyCache
from togi.lm.limits import Serving

ENDPOINT = "openai:"


def open_model(
    spec: str,
    *,
    dtype: str = "auto",
    offline: bool = False,
    cache: ReplyCache | None = None,
    serving: Serving | None = None,
    say: Callable[[str], None] = print,
) -> LanguageModel:
    """Open a model by its specification (`togi.align.tuned` puts adapters on).

    Args:
        spec: `openai:URL#model` for an endpoint; else a catalogue name, a local folder or a hub
            id, which the local engine loads.
        dtype: of a local model: "auto", "bfloat16" or "float32".
        offline: no network; an endpoint on this very machine may still be used.
        cache: keeps the replies, so that nothing is asked twice.
        serving: how an endpoint is asked, and what it may cost.
        say: receives lines for the user.

    Raises:
        UsageError: the specification makes no sense.
        SurroundingsError: the model is not here and cannot be fetched, or cannot be loaded.
    """
    if spec.startswith(ENDPOINT):
        model = _endpoint(spec, offline, serving or Serving(), say)
    else:
        model = _local(spec, dtype, offline, say)
    return model if cache is None else Cached(model, cache)


def _endpoint(
    spec: str, offline: bool, serving: Serving, say: Callable[[str], None]
) -> LanguageModel:
    from togi.lm.endpoint import Endpoint, is_loopback

    url, _, name = spec.removeprefix(ENDPOINT).rpartition("#")
    if not url or not name:
        raise UsageError(
            "the endpoint's specification lacks the model's name",
            where="model",
            expected="openai:https://host/v1#model-name",
        )
    endpoint = Endpoint(
        url,
        name,
        concurrency=serving.concurrency,
        patience=serving.patience,
        prices=serving.prices,
        extra=serving.extra,
        say=say,
    )
    if serving.paid is not None:
        endpoint.count_in(serving.paid)
    if offline and not is_loopback(endpoint.url):
        raise SurroundingsError(
            "an endpoint needs the network, which may not be used",
            where=endpoint.name,
            hint="run without --offline, or serve the model on this machine",
        )
    return endpoint


def _local(
    spec: str,
    dtype: str,
    offline: bool,
    say: Callable[[str], None],
) -> LanguageModel:
    from togi.lm.catalogue import resolve

    folder = resolve(spec, offline=offline, say=say)
    from togi.lm.local import load_local  # torch is loaded once it is sure that there is a model

    return load_local(folder, name=spec, dtype=dtype, say=say)


def endpoint_name(spec: str) -> str:
    """Return an endpoint's name, without credentials, as its replies are counted under.

    >>> endpoint_name("openai:https://me:secret@host/v1#small")
    'openai:https://host/v1#small'
    """
    import httpx

    url, _, name = spec.removeprefix(ENDPOINT).rpartition("#")
    return f"{ENDPOINT}{httpx.URL(url).copy_with(userinfo=b'', query=None)}#{name}"
