"""The language model over texts that share beginnings, each read once: the library's numbers in less time."""

from typing import Any

import torch
from torch import Tensor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from sample_shop.judge_reader import Padded

Keys = list[tuple[Tensor, Tensor]]
"""For each layer the keys and values, `(n, heads, length, size)`; a last column of the keys hides what is padding."""


_HIDDEN = -200.0


def think(
    mind: Any, hidden: Tensor, told: Padded, before: Keys | None = None, only: Tensor | None = None
) -> tuple[list[Tensor], Keys]:
    """The hidden states after each layer of texts `(n, length, width)` that follow what was read *before*.

    What was read before may be fewer texts: each of theirs is then the beginning of n / fewer neighbours here.

    Args:
        only: `(n, m)` places whose state the last layer is asked for; by default all.
    """
    cos, sin = mind.rotary_emb(hidden, told.places)
    causal = torch.full((hidden.shape[1],) * 2, _HIDDEN, device=hidden.device).triu(1)
    states, keys = [], []
    for number, layer in enumerate(mind.layers):
        normed = layer.input_layernorm(hidden)
        parts = (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
        shape = (*normed.shape[:2], -1, layer.self_attn.head_dim)
        query, key, value = (part(normed).view(shape).transpose(1, 2) for part in parts)
        query, key = apply_rotary_pos_emb(
            query * layer.self_attn.scaling, key, cos.to(query.dtype), sin.to(query.dtype)
        )
        key, mask = _with_padding(key, told.present), causal
        if only is not None and number == len(mind.layers) - 1:
            query, hidden, mask = _picked(query, only), _picked(hidden[:, None], only)[:, 0], causal[only][:, None]
        mixed = _attend(query, key, value, mask, before[number] if before else None)
        hidden = hidden + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        keys.append((key, value))
        states.append(hidden)
    return states, keys


def _with_padding(key: Tensor, present: Tensor) -> Tensor:
    """The keys with eight columns more, of which the first hides padding: one pass less over every score."""
    n, heads, length, size = key.shape
    wider = key.new_zeros((n, heads, length, size + 8))
    wider[..., :size] = key
    wider[..., size] = torch.where(present, 0.0, _HIDDEN).to(key.dtype)[:, None]
    return wider


def _picked(values: Tensor, places: Tensor) -> Tensor:
    """`(n, heads, m, size)`: the rows *places* `(n, m)` of `(n, heads, length, size)`."""
    return values.gather(2, places[:, None, :, None].expand(-1, values.shape[1], -1, values.shape[3]))


def joined(before: Keys, after: Keys) -> Keys:
    """The keys of both; what was read before once goes before each text that was read after it."""
    n = len(after[0][0])
    return [
        (
            torch.cat([keys.expand(n, -1, -1, -1), more_keys], 2),
            torch.cat([values.expand(n, -1, -1, -1), more_values], 2),
        )
        for (keys, values), (more_keys, more_values) in zip(before, after, strict=True)
    ]


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, before: tuple[Tensor, Tensor] | None) -> Tensor:
    """Attention of `(n, heads, length, size)`; what was read before serves all neighbours that follow it at once.

    In plain products and bfloat16 throughout: the fused attention's backward pass on a CPU is three times as slow.
    """
    n, heads, length, _ = query.shape
    asking = torch.cat([query, query.new_ones((n, heads, length, 1)), query.new_zeros((n, heads, length, 7))], -1)
    with torch.autocast(query.device.type, enabled=False):
        scores = asking @ key.transpose(-1, -2) + mask.to(query.dtype)
        if before is None:
            return scores.softmax(-1) @ value
        fewer = len(before[0])
        together = _together(asking, fewer) @ before[0].transpose(-1, -2)
        scores = torch.cat([together, _together(scores, fewer)], -1)
        chances = scores.softmax(-1)
        n_before = before[0].shape[2]
        first = chances[..., :n_before] @ before[1]
        second = _apart(chances[..., n_before:], n, length) @ value
        return _apart(first, n, length) + second


def _together(values: Tensor, fewer: int) -> Tensor:
    """`(fewer, heads, each·length, …)` of `(n, heads, length, …)`: neighbours one after another."""
    n, heads, length, last = values.shape
    return values.reshape(fewer, n // fewer, heads, length, last).transpose(1, 2).reshape(fewer, heads, -1, last)


def _apart(values: Tensor, n: int, length: int) -> Tensor:
    """What `_together` made, undone."""
    fewer, heads, _, last = values.shape
    return values.reshape(fewer, heads, n // fewer, length, last).transpose(1, 2).reshape(n, heads, length, last)
