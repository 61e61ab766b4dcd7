"""LoRA adapters with random weights, for the tiny models and for the real one.

They teach nothing, but they change what the model says, each seed in another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tiny_models import ARCHITECTURES, Tensor, TinyModel, Weights

from erllama_cache.model.gguf_header import ValueType, read_header

TARGETS = ("attn_q.weight", "attn_v.weight", "ffn_down.weight", "ssm_in.weight")
"""The matrices of a layer that an adapter changes, if the model has them."""

Shape = tuple[int, int]
"""Rows (what a matrix gives) and columns (what it takes)."""


def write_tiny_adapter(kind: TinyModel, path: Path, *, seed: int, rank: int = 4, strength: float = 1.0) -> Path:
    """Writes an adapter for a tiny model to `path` and gives `path` back; equal seeds write equal bytes.

    A `strength` of 1 changes a matrix by as much as it is large.
    """
    shapes = {name: tensor.shape for name, tensor in Weights(kind, 0).all().items() if name.endswith(TARGETS)}
    targets = {name: (rows, columns) for name, (rows, columns) in shapes.items()}
    return _write(gguf.MODEL_ARCH_NAMES[ARCHITECTURES[kind]], targets, path, seed=seed, rank=rank, strength=strength)


def write_adapter(model: Path, path: Path, *, seed: int, rank: int = 4, strength: float = 1.0) -> Path:
    """Writes an adapter for any GGUF model of llama.cpp, as `write_tiny_adapter` does."""
    with model.open("rb") as file:
        header = read_header(file)
    architecture = header.value(gguf.Keys.General.ARCHITECTURE, ValueType.STRING)
    shapes = {tensor.name: tensor.dimensions for tensor in header.tensors if tensor.name.endswith(TARGETS)}
    targets = {name: (rows, columns) for name, (columns, rows) in shapes.items()}
    return _write(str(architecture), targets, path, seed=seed, rank=rank, strength=strength)


_USUAL: Mapping[str, Any] = {
    "general.type": "adapter",
    "adapter.type": "lora",
    "adapter.lora.alpha": np.float32(4),
}


def write_strange_adapter(
    path: Path,
    *,
    metadata: Mapping[str, Any] | None = None,
    target: str = "blk.0.attn_q.weight",
    a: tuple[int, ...] | None = (4, 64),
    b: tuple[int, ...] | None = (64, 4),
    dtype: type[np.generic] = np.float32,
) -> Path:
    """Writes an adapter of zeros for the dense tiny model, as it should be but for what is given otherwise.

    The values of `metadata` are strings, float32s or uint32s. None leaves a key or a tensor out.
    """
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in {**_USUAL, **(metadata or {})}.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, np.float32):
            writer.add_float32(key, float(value))
        elif value is not None:
            writer.add_uint32(key, value)
    for name, shape in ((f"{target}.lora_a", a), (f"{target}.lora_b", b)):
        if shape is not None:
            writer.add_tensor(name, np.zeros(shape, dtype=dtype))
    return _finish(writer, path)


def _write(architecture: str, targets: dict[str, Shape], path: Path, *, seed: int, rank: int, strength: float) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
    random = np.random.default_rng(seed)
    for name, (rows, columns) in sorted(targets.items()):
        writer.add_tensor(f"{name}.lora_a", _matrix(random, rank, columns))
        writer.add_tensor(f"{name}.lora_b", np.float32(strength) * _matrix(random, rows, rank))
    return _finish(writer, path)


def _finish(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _matrix(random: np.random.Generator, rows: int, columns: int) -> Tensor:
    """A projection that keeps the size of what it projects."""
    return np.float32(columns**-0.5) * random.standard_normal((rows, columns), dtype=np.float32)
