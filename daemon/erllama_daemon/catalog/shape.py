"""The shape of a model, as far as it decides how much memory a loaded one takes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from erllama_cache.model.gguf_header import TensorInfo
from erllama_daemon.catalog.header import ArchitectureKeys

_LAYER = re.compile(r"blk\.(?P<layer>\d{1,5})\.(?P<part>.+)", re.ASCII)
_STATE_PARTS = ("ssm_conv1d.weight", "shortconv.conv.weight", "time_mix_w1.weight", "time_mix_key.weight")
_WINDOWS_WITHOUT_KEY = {"gemma2": 4096, "llama4": 8192}
_WINDOWS_IGNORED = frozenset({"llama", "phi3", "qwen2", "qwen2moe", "qwen3", "qwen3moe"})
"""Architectures whose files may name a window that llama.cpp does not use."""


class ModelShape(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of numbers. `keys` and `values` are what all layers together keep of one token, `first_keys` the first.

    `state` is what a sequence's recurrent state takes. `layers` is how many blocks there are, `stateful` how many of
    them have such a state; `attending` is whether any layer attends at all.
    """

    layers: int
    heads: int
    embedding: int
    feed_forward: int
    vocabulary: int
    keys: int
    values: int
    first_keys: int
    state: int
    stateful: int
    inner: int
    window: int

    @property
    def attending(self) -> bool:
        return self.keys > 0


def shape_of(keys: ArchitectureKeys, tensors: Sequence[TensorInfo]) -> ModelShape:
    """The shape that a model's keys and the tensors of all its parts tell."""
    layers = max(keys.number("block_count") - keys.number("nextn_predict_layers"), 0)
    blocks = _blocks(tensors, layers)
    # Layers without tensors keep nothing, and a damaged header may count billions of them.
    keeping = min(layers - keys.number("attention.shared_kv_layers"), max(blocks, default=-1) + 1)
    kept = [_kept(keys, blocks.get(layer, {})) for layer in range(keeping)]
    stateful = sum(any(part in block for part in _STATE_PARTS) for block in blocks.values())
    experts = keys.number("expert_used_count") * keys.number("expert_feed_forward_length")
    return ModelShape(
        layers=layers,
        heads=keys.number("attention.head_count"),
        embedding=keys.number("embedding_length"),
        feed_forward=max(keys.number("feed_forward_length"), experts),
        vocabulary=_vocabulary(keys, tensors),
        keys=sum(key for key, _value in kept),
        values=sum(value for _key, value in kept),
        first_keys=kept[0][0] if kept else 0,
        state=_state(keys) * stateful,
        stateful=stateful,
        inner=keys.number("ssm.inner_size"),
        window=_window(keys),
    )


def _blocks(tensors: Sequence[TensorInfo], layers: int) -> Mapping[int, Mapping[str, tuple[int, ...]]]:
    """The dimensions of each layer's tensors, by their names in it."""
    blocks: dict[int, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for tensor in tensors:
        found = _LAYER.fullmatch(tensor.name)
        if found is not None and (layer := int(found["layer"])) < layers:
            blocks[layer][found["part"]] = tensor.dimensions
    return blocks


def _kept(keys: ArchitectureKeys, block: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
    """How many numbers of keys and of values a layer keeps of one token."""
    if (latent := _rows(block, "attn_kv_a_mqa.weight")) > 0:
        if "attn_k_b.weight" in block:  # values are read out of the same numbers
            return latent, 0
        heads = keys.number("attention.head_count")
        return heads * keys.number("attention.key_length"), heads * keys.number("attention.value_length")
    if (width := _rows(block, "attn_k.weight")) > 0:
        return width, _rows(block, "attn_v.weight") or width
    joined = _rows(block, "attn_qkv.weight")
    if joined == 0 or any(part in block for part in _STATE_PARTS):
        return 0, 0
    width = max(joined - keys.number("embedding_length"), 0) // 2
    return width, width


def _rows(block: Mapping[str, tuple[int, ...]], name: str) -> int:
    dimensions = block.get(name, ())
    return dimensions[1] if len(dimensions) > 1 else 0


def _state(keys: ArchitectureKeys) -> int:
    """How many numbers the state of one layer and one sequence has."""
    embedding = keys.number("embedding_length")
    if (head := keys.number("wkv.head_size")) > 0:
        return (keys.number("token_shift_count") or 2) * embedding + embedding * head
    if (convolution := keys.number("shortconv.l_cache")) > 0:
        return embedding * (convolution - 1)
    inner, size = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    convolved = inner + 2 * keys.number("ssm.group_count") * size
    return max(keys.number("ssm.conv_kernel") - 1, 0) * convolved + inner * size


def _vocabulary(keys: ArchitectureKeys, tensors: Sequence[TensorInfo]) -> int:
    embedding = next((tensor for tensor in tensors if tensor.name == "token_embd.weight"), None)
    return embedding.dimensions[1] if embedding and len(embedding.dimensions) > 1 else keys.number("vocab_size")


def _window(keys: ArchitectureKeys) -> int:
    if keys.architecture in _WINDOWS_IGNORED:
        return 0
    return keys.number("attention.sliding_window") or _WINDOWS_WITHOUT_KEY.get(keys.architecture, 0)
