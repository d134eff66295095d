"""One decoding step's attention: shared prompts, own continuations, one softmax over both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True)
class Prefix:
    """Keys and values of the prompts, padded to the longest.

    Attributes:
        keys, values: per layer [prompts, heads_kv, longest, width].
        lengths: [prompts] number of true tokens.
    """

    keys: dict[int, Tensor]
    values: dict[int, Tensor]
    lengths: Tensor

    @staticmethod
    def join(caches: list[dict[int, tuple[Tensor, Tensor]]]) -> Prefix:
        """Pad the prompts' keys and values [heads_kv, length, width] into one batch a layer."""
        some = next(iter(caches[0].values()))[0]
        lengths = torch.tensor([next(iter(c.values()))[0].shape[1] for c in caches])
        longest = int(lengths.max())
        shape = (len(caches), some.shape[0], longest, some.shape[2])
        keys: dict[int, Tensor] = {}
        values: dict[int, Tensor] = {}
        for layer in list(caches[0]):
            keys[layer], values[layer] = some.new_zeros(shape), some.new_zeros(shape)
            for place, cache in enumerate(caches):
                k, v = cache.pop(layer)
                keys[layer][place, :, : k.shape[1]] = k
                values[layer][place, :, : v.shape[1]] = v
        return Prefix(keys, values, lengths.to(some.device))


class DecodeState:
    """Rows that decode together; passed to the model as `tree` and called in every layer.

    Args:
        prefix: the prompts' keys and values.
        owner: the prompt of each row; rows of one prompt stand together.
        room: tokens that a row may add.
    """

    def __init__(self, prefix: Prefix, owner: list[int], room: int) -> None:
        self.prefix, self.room = prefix, room
        self.steps = 0
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._arrange(torch.tensor(owner, device=prefix.lengths.device))

    def positions(self) -> Tensor:
        """Position ids [rows] of the tokens that are put in now."""
        return self.prefix.lengths[self.owner] + self.steps

    @property
    def depth(self) -> int:
        """Tokens on the longest path."""
        return int(self.prefix.lengths.max()) + self.steps + 1

    def keep(self, rows: list[int]) -> None:
        """Let only these rows go on; prompts without rows leave too."""
        index = torch.tensor(rows, dtype=torch.long, device=self.owner.device)
        for cache in (self._keys, self._values):
            for layer in cache:
                cache[layer] = cache[layer][index]
        owner = self.owner[index]
        used, owner = torch.unique(owner, return_inverse=True)
        if len(used) < len(self.prefix.lengths):
            lengths = self.prefix.lengths[used]
            longest = int(lengths.max()) if len(lengths) else 0
            for cache in (self.prefix.keys, self.prefix.values):
                for layer in cache:
                    cache[layer] = cache[layer][used][:, :, :longest]
            self.prefix.lengths = lengths
        self._arrange(owner)

    def _arrange(self, owner: Tensor) -> None:
        """Lay rows out as [prompts, siblings]; ragged families are padded."""
        self.owner = owner
        prompts = len(self.prefix.lengths)
        counts = torch.bincount(owner, minlength=prompts)
        self.siblings = int(counts.max()) if len(owner) else 0
        first = counts.cumsum(0) - counts
        within = torch.arange(len(owner), device=owner.device) - first[owner]
        self.slot = owner * self.siblings + within
        self.full = len(owner) == prompts * self.siblings
        if prompts:
            longest = int(self.prefix.lengths.max())
            places = torch.arange(longest, device=owner.device)
            padding = places[None] >= self.prefix.lengths[:, None]
            self.padding = padding[:, None, None] if bool(padding.any()) else None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attend one new token a row.

        Args:
            layer: index of the layer.
            query: [heads, rows, width]; key, value: [heads_kv, rows, width].

        Returns:
            [rows, heads, width].
        """
        heads, rows, width = query.shape
        kv, group = len(key), heads // len(key)
        own_k, own_v = self._append(layer, key, value)
        q = query.view(kv, group, rows, width).permute(2, 0, 1, 3)  # [rows, kv, group, width]
        families = self._families(q)
        before = torch.matmul(families, self.prefix.keys[layer].transpose(2, 3))
        if self.padding is not None:
            before = before.masked_fill(self.padding, float("-inf"))
        longest = before.shape[-1]
        scores = torch.cat(
            [self._rows(before, group), torch.matmul(q, own_k.transpose(2, 3))], dim=-1
        )
        wide = torch.promote_types(scores.dtype, torch.float32)
        weights = scores.to(wide).mul_(scale).softmax(-1).to(query.dtype)
        from_prompt = torch.matmul(
            self._families(weights[..., :longest]), self.prefix.values[layer]
        )
        out = self._rows(from_prompt, group) + torch.matmul(weights[..., longest:], own_v)
        return out.reshape(rows, heads, width)

    def _append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        k, v = key.transpose(0, 1), value.transpose(0, 1)  # [rows, kv, width]
        if layer not in self._keys:
            shape = (len(k), k.shape[1], self.room, k.shape[2])
            self._keys[layer], self._values[layer] = k.new_empty(shape), v.new_empty(shape)
        self._keys[layer][:, :, self.steps] = k
        self._values[layer][:, :, self.steps] = v
        end = self.steps + 1
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def _families(self, rows: Tensor) -> Tensor:
        """[rows, kv, group, x] -> [prompts, kv, siblings * group, x]."""
        _, kv, group, x = rows.shape
        prompts = len(self.prefix.lengths)
        if not self.full:
            padded = rows.new_zeros(prompts * self.siblings, kv, group, x)
            padded[self.slot] = rows
            rows = padded
        if self.siblings == 1:
            return rows
        shaped = rows.view(prompts, self.siblings, kv, group, x).transpose(1, 2)
        return shaped.reshape(prompts, kv, self.siblings * group, x)

    def _rows(self, families: Tensor, group: int) -> Tensor:
        """Undo `_families`."""
        prompts, kv, _, x = families.shape
        if self.siblings == 1:
            return families if self.full else families[self.slot]
        shaped = families.view(prompts, kv, self.siblings, group, x).transpose(1, 2)
        rows = shaped.reshape(prompts * self.siblings, kv, group, x)
        return rows if self.full else rows[self.slot]
