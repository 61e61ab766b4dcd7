"""What a model's header says under keys that begin with its architecture."""

from __future__ import annotations

from erllama_cache.model.gguf_header import GgufHeader

_WHOLE = 1 << 32


class ArchitectureKeys:
    """The keys of one header's architecture. A value of the wrong type or size counts as none."""

    def __init__(self, header: GgufHeader) -> None:
        self._header = header
        name = self._value("general.architecture")
        self.architecture = name if isinstance(name, str) else ""

    def number(self, key: str) -> int:
        """A whole number of 32 bits that is not negative, as llama.cpp reads them; 0 if there is none."""
        value = self._value(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _WHOLE else 0

    def flag(self, key: str) -> bool | None:
        """Yes or no, or None if it says neither."""
        value = self._value(f"{self.architecture}.{key}")
        return value if isinstance(value, bool) else None

    def text(self, key: str) -> str | None:
        """A text under a key that does not begin with the architecture."""
        value = self._value(key)
        return value if isinstance(value, str) else None

    def _value(self, key: str) -> object:
        entry = self._header.metadata.get(key)
        return None if entry is None else entry.value
