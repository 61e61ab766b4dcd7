"""The chat template that stands in a model's file."""

from __future__ import annotations

from pathlib import Path

from erllama_cache.model.gguf_header import GgufMalformed, read_header
from erllama_daemon.catalog.header import ArchitectureKeys
from erllama_daemon.errors import ModelUnreadable


def template_source(path: Path) -> str:
    """Its text; empty if there is none. Raises ModelUnreadable."""
    try:
        with path.open("rb") as file:
            return ArchitectureKeys(read_header(file)).text("tokenizer.chat_template") or ""
    except GgufMalformed as error:
        raise ModelUnreadable(path=path, reason=error) from error
    except OSError as error:
        raise ModelUnreadable(path=path, reason=(error.strerror or str(error)).lower()) from error
