"""A model in a store, and what it goes by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """One model of one store: `name` is all of its name, `base` what is left of it without its tag.

    `path` is its file, of several parts the first. `tags` are what may stand behind a colon, the one in `name` first;
    none if the model goes without. `is_default` says that the base alone means this model, whatever others share it.
    """

    store: str
    base: str
    tags: tuple[str, ...]
    path: Path
    is_default: bool = False

    @property
    def name(self) -> str:
        return f"{self.base}:{self.tags[0]}" if self.tags else self.base

    @property
    def short_bases(self) -> frozenset[str]:
        """What else the base may be called, in small letters: its last part, that without `-gguf`, the file's name."""
        last = self.base.rpartition("/")[2].casefold()
        file = self.path.name.casefold()
        # A blob of Ollama's has no name of its own.
        files = {file.removesuffix(".gguf")} if file.endswith(".gguf") else set()
        return frozenset({last, last.removesuffix("-gguf"), *files})

    def has_tag(self, tag: str) -> bool:
        """Whether it goes by this tag, whatever its case."""
        return tag.casefold() in (each.casefold() for each in self.tags)

    @property
    def resolved(self) -> str:
        """The file behind all links."""
        return os.path.realpath(self.path)
