"""From the recipe's `model:` to a language model."""

from __future__ import annotations

import subprocess
import sys

import pytest

from togi.errors import SurroundingsError, UsageError
from togi.lm.cache import Cached, ReplyCache
from togi.lm.endpoint import Endpoint
from togi.lm.open import open_model


def quiet(line: str) -> None:
    """Say nothing."""


def test_an_endpoint_by_its_specification():
    model = open_model("openai:https://host.example/v1#org/name-7b", say=quiet)
    assert isinstance(model, Endpoint)
    assert (model.url, model.model) == ("https://host.example/v1", "org/name-7b")
    assert model.name == "openai:https://host.example/v1#org/name-7b"


@pytest.mark.parametrize("spec", ["openai:https://host.example/v1", "openai:#m", "openai:u#"])
def test_an_endpoint_without_its_model_is_told(spec):
    with pytest.raises(UsageError, match="lacks the model's name"):
        open_model(spec, say=quiet)


def test_offline_allows_only_this_machine():
    with pytest.raises(SurroundingsError, match="needs the network"):
        open_model("openai:https://host.example/v1#m", offline=True, say=quiet)
    assert open_model("openai:http://127.0.0.1:8000/v1#m", offline=True, say=quiet)
    assert open_model("openai:http://localhost:8000/v1#m", offline=True, say=quiet)


def test_a_cache_is_put_before_the_model(tmp_path):
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        model = open_model("openai:https://host.example/v1#m", cache=cache, say=quiet)
        assert isinstance(model, Cached)
        assert isinstance(model.model, Endpoint)


def test_a_folder_goes_to_the_local_engine(tmp_path, monkeypatch):
    from togi.lm import catalogue, local

    asked = []
    monkeypatch.setattr(catalogue, "resolve", lambda spec, **options: tmp_path)
    monkeypatch.setattr(local, "load_local", lambda folder, **options: asked.append(options) or 7)
    assert open_model("a/b", dtype="float32", say=quiet) == 7
    assert asked[0] == {"name": "a/b", "dtype": "float32", "say": quiet}


def test_an_unknown_model_is_told_without_loading_torch():
    script = (
        "import sys\n"
        "from togi.errors import UsageError\n"
        "from togi.lm.open import open_model\n"
        "try: open_model('smollm')\n"
        "except UsageError as error: print(error)\n"
        "assert not {'torch', 'transformers', 'httpx', 'huggingface_hub'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "did you mean 'smollm2-135m'" in done.stdout
