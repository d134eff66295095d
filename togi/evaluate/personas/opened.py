"""A model that is opened at most once, and only when something must be asked of it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import orjson

from togi.evaluate.judge import Model, Opener, describe, pretty
from togi.lm.base import LanguageModel
from togi.train.files import write_text

Facts = dict[str, str]


class Opened:
    """A model by its display name; a finished step knows it from `models.json` and opens nothing.

    Args:
        name: display name.
        source: the model, or how it is opened.
        folder: where `models.json` lies.
    """

    def __init__(self, name: str, source: Model, folder: Path) -> None:
        self.name, self.source = name, source
        self._notes = folder / "models.json"
        self._model: LanguageModel | None = None if isinstance(source, Opener) else source
        self._facts: Facts = {}

    @property
    def model(self) -> LanguageModel:
        """The model, opened now if it was not before."""
        if self._model is None:
            assert isinstance(self.source, Opener)  # noqa: S101  # others are there from the start
            self._model = self.source.open()
            self._facts = describe(self._model)
            write_text(self._notes, pretty({**self._known(), self.source.identity: self._facts}))
        return self._model

    @property
    def facts(self) -> Facts:
        """What is known of it: name, fingerprint, engine, dtype."""
        if not self._facts and isinstance(self.source, Opener):
            self._facts = self._known().get(self.source.identity, {})
        if not self._facts:
            self._facts = describe(self.model)
        return self._facts

    @property
    def fingerprint(self) -> str:
        """Its fingerprint."""
        return self.facts["fingerprint"]

    def opens(self) -> Callable[[], LanguageModel]:
        """Return what opens it."""
        return lambda: self.model

    def close(self) -> None:
        """Forget the model; models hold cycles, without this two would be in memory."""
        if isinstance(self.source, Opener) and self._model is not None:
            self._model = None
            gc.collect()

    def _known(self) -> dict[str, Facts]:
        """Return what is known of models opened before; a damaged file is as none."""
        try:
            return orjson.loads(self._notes.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
