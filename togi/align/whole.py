"""Whole models as transformers folders: saved after full fine-tuning, weights in float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from togi.align.reward import HEAD
from togi.errors import DataError
from togi.train.files import new_folder

HEAD_KEY = f"{HEAD}.weight"


def save_whole(model: Any, folder: Path) -> None:
    """Write an open local model, its tokenizer and its chat template as an ordinary folder.

    A reward model's folder is one that transformers opens as a sequence classifier with one
    label, and that still opens as the language model it was.

    Raises:
        DataError: a weight is not finite.
        SurroundingsError: the disk is full or may not be written.
    """
    module = model.model
    for name, weight in module.named_parameters():
        if not weight.isfinite().all():
            raise DataError("a weight holds values that are not finite", where=name)
    with new_folder(Path(folder)) as fresh:
        module.save_pretrained(fresh, safe_serialization=True)
        model.tokenizer.save_pretrained(fresh)
        if hasattr(module, HEAD):
            _as_classifier(fresh / "config.json", module.config, model.tokenizer)


def _as_classifier(file: Path, config: Any, tokenizer: Any) -> None:
    """Let the folder's configuration name the family's sequence classifier, where it has one."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    plain = json.loads(file.read_text(encoding="utf-8"))
    if type(config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        kind = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
        plain["architectures"] = [kind.__name__]
    plain |= {"num_labels": 1, "id2label": {"0": "reward"}, "label2id": {"reward": 0}}
    if plain.get("pad_token_id") is None:
        pad = tokenizer.pad_token_id
        plain["pad_token_id"] = tokenizer.eos_token_id if pad is None else pad
    file.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")


def read_head(folder: Path) -> torch.Tensor | None:
    """Return a reward model's head [1, width] from a whole model's folder; None without one."""
    from safetensors import safe_open

    for file in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            if HEAD_KEY in tensors.keys():  # noqa: SIM118 - safetensors' handle is no dict
                return tensors.get_tensor(HEAD_KEY)
    return None
