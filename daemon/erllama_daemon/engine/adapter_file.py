"""The file of a LoRA adapter: what must be true of it before llama.cpp may see it."""

from __future__ import annotations

import math
from pathlib import Path

from erllama_cache.model.gguf_header import GgufHeader, GgufMalformed, TensorInfo, ValueType, read_header
from erllama_daemon.engine.backend import AdapterRejected

_TENSOR_TYPES = {0, 1, 8, 30}
"""F32, F16, Q8_0 and BF16: what adapters are written in. llama.cpp loads any type and dies of some when it computes."""

_ALPHA = "adapter.lora.alpha"


def check_adapter_file(path: Path) -> None:
    """Reads what llama.cpp takes for granted in an adapter's header, and would abort the process for.

    Raises AdapterRejected, and OSError if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = read_header(file)
    except GgufMalformed as error:
        raise AdapterRejected(str(error)) from error
    _check_metadata(header)
    for tensor in header.tensors:
        _check_tensor(tensor)
    shapes = {tensor.name: tensor.dimensions for tensor in header.tensors}
    if not any(name.endswith(".lora_a") for name in shapes):
        raise AdapterRejected("it has no LoRA tensors")
    rows, inner = shapes.get("token_embd.weight.lora_a"), shapes.get("token_embd.weight.lora_b")
    if rows and inner and rows[0] != inner[0]:
        raise AdapterRejected("the two parts of token_embd.weight have different ranks")


def _check_metadata(header: GgufHeader) -> None:
    texts = [header.value(key, ValueType.STRING) for key in ("general.type", "adapter.type")]
    if texts != ["adapter", "lora"]:
        raise AdapterRejected("it is not a LoRA adapter")
    if header.value("general.architecture", ValueType.STRING) is None:
        raise AdapterRejected("it does not say for which architecture it is")
    alpha = header.value(_ALPHA, ValueType.FLOAT32)
    if _ALPHA in header.metadata and not (isinstance(alpha, float) and math.isfinite(alpha)):
        raise AdapterRejected(f"its {_ALPHA} is not a finite float32")


def _check_tensor(tensor: TensorInfo) -> None:
    if tensor.name.endswith((".lora_a", ".lora_b")) and (
        len(tensor.dimensions) != 2 or tensor.type_number not in _TENSOR_TYPES
    ):
        raise AdapterRejected(f"its tensor {tensor.name} is not a matrix of F32, F16, BF16 or Q8_0")
