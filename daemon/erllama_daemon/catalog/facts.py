"""What a model's header says of it, read once for as long as the file stays the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from erllama_cache.model.file_memo import FileMemo, file_identity
from erllama_cache.model.gguf_header import ArrayShape, GgufHeader, GgufMalformed, read_header
from erllama_cache.model.parts import model_bytes, parts_of
from erllama_daemon.catalog.header import ArchitectureKeys
from erllama_daemon.catalog.quantization import quantization_name
from erllama_daemon.catalog.shape import ModelShape, shape_of
from erllama_daemon.messages import CacheCapability, ModelFacts
from erllama_daemon.thinking import THINKING

MEMO = "models.sqlite3"
_TABLE = "facts_1"
"""Another number for every change of what is derived."""

NUMBERS_TOO_LARGE = "its header holds numbers that no model has"

_TEMPLATES = {
    "<|im_start|>": "chatml",
    "<|start_header_id|>": "llama3",
    "<start_of_turn>": "gemma",
    "<|turn>": "gemma4",
    "<|channel|>": "harmony",
    "<|START_OF_TURN_TOKEN|>": "command-r",
    "<｜Assistant｜>": "deepseek",  # noqa: RUF001
    "<|start_of_role|>": "granite",
    "<|assistant|>": "zephyr",
    "[INST]": "mistral",
}
"""The formats that are known, each by what it alone writes."""

_POOLINGS = {1: "mean", 2: "cls", 3: "last", 4: "rank"}


class ReadModel(msgspec.Struct, frozen=True):
    """What is derived from a header."""

    facts: ModelFacts
    shape: ModelShape


def read_model(path: Path, cache: Path) -> ReadModel:
    """What the header of a model says; `cache` is the folder where that is remembered.

    Raises GgufMalformed (a ValueError) for a file that is no GGUF, and OSError if a part cannot be read.
    """
    memo = FileMemo(cache / MEMO, _TABLE, "facts")
    resolved, _size, changed, inode = file_identity(path)
    identity = (resolved, model_bytes(path), changed, inode)
    known = memo.recall(identity)
    if known is not None:
        try:
            return msgspec.msgpack.decode(known, type=ReadModel)
        except msgspec.MsgspecError:
            pass
    read = _derived([_header(part) for part in parts_of(path)])
    try:
        encoded = msgspec.msgpack.encode(read)
    except OverflowError as error:
        raise GgufMalformed(NUMBERS_TOO_LARGE) from error
    memo.remember(identity, encoded)
    return read


def _header(path: Path) -> GgufHeader:
    with path.open("rb") as file:
        return read_header(file)


def _derived(parts: Sequence[GgufHeader]) -> ReadModel:
    first, tensors = parts[0], [tensor for part in parts for tensor in part.tensors]
    keys = ArchitectureKeys(first)
    shape = shape_of(keys, tensors)
    parameters = sum(math.prod(tensor.dimensions) for tensor in tensors)
    weights = sum(part.file_bytes - min(part.data_offset, part.file_bytes) for part in parts)
    template = _template(first, keys)
    generates = keys.flag("attention.causal") is not False
    facts = ModelFacts(
        architecture=keys.architecture,
        parameters=parameters,
        quantization=quantization_name(first if len(parts) == 1 else max(parts, key=lambda part: len(part.tensors))),
        quant_bits=round(8 * weights / parameters, 2) if parameters else 0.0,
        context_size=keys.number("context_length"),
        template=None if template is None else _format(template),
        thinking=template is not None and any(tag in template for tags in THINKING for tag in tags),
        embeddings=_POOLINGS.get(keys.number("pooling_type")) or (None if generates else "mean"),
        generates=generates,
        cache=_capability(shape) if generates else "none",
    )
    return ReadModel(facts, shape)


def _template(header: GgufHeader, keys: ArchitectureKeys) -> str | None:
    """The chat template; of several, the one without a name."""
    template = keys.text("tokenizer.chat_template")
    if template is not None:
        return template
    named = header.metadata.get("tokenizer.chat_templates")
    return "" if named is not None and isinstance(named.value, ArrayShape) and named.value.count else None


def _format(template: str) -> str:
    return next((name for mark, name in _TEMPLATES.items() if mark in template), "own")


def _capability(shape: ModelShape) -> CacheCapability:
    if shape.stateful:
        return "hybrid" if shape.attending else "recurrent"
    return "sliding window" if shape.window else "dense"
