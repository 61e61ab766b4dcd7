"""GGUF files in a folder, as their publishers name them: which are models, and how they are quantized.

A repository holds one model in several quantizations; `ORG/REPO:Q4_K_M` is one of them, as llama.cpp has it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from erllama_daemon.catalog.stored_model import StoredModel

PREFERRED_TAGS = ("Q4_K_M", "Q8_0")
"""What a repository's name means by itself, if it is there; or else the first file."""

ENTRIES_LIMIT = 20_000
"""So many files and folders are looked at in one folder of a store, and no more."""

DEPTH_LIMIT = 4

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_QUANTIZATION = re.compile(
    r"(?:^|[-._])(?P<tag>(?:UD-)?(?:I?Q[1-9](?:_[0-9A-Z]+)*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|FP?16|FP?32))$",
    re.IGNORECASE | re.ASCII,
)
_NO_MODELS = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")
"""What goes with a model and is none: projectors of pictures, statistics, drafts."""


def is_model_file(name: str) -> bool:
    """Whether a file of this name is a model, or the first part of one."""
    folded = name.lower()
    if not folded.endswith(".gguf") or any(word in folded for word in _NO_MODELS):
        return False
    part = _PART.fullmatch(name[: -len(".gguf")])
    return part is None or int(part["number"]) == 1


def stem_of(name: str) -> str:
    """A file's name without its ending and without which part it is."""
    stem = name[: -len(".gguf")] if name.lower().endswith(".gguf") else name
    part = _PART.fullmatch(stem)
    return part["stem"] if part else stem


def quantization_of(name: str) -> str | None:
    """The quantization that a file's name ends in, in capitals; if not, that of the folder it is in; or None."""
    for part in (stem_of(Path(name).name), Path(name).parent.name):
        if found := _QUANTIZATION.search(part):
            return found["tag"].upper()
    return None


def model_files(folder: Path, *, depth: int = DEPTH_LIMIT) -> Iterator[Path]:
    """The models in a folder and the folders in it, in the order of their names. What cannot be read is passed over.

    Links are followed to files and, down to `depth`, to folders; so many entries are looked at and no more.
    """
    budget = ENTRIES_LIMIT
    waiting = [(folder, depth)]
    while waiting:
        current, left = waiting.pop()
        try:
            with os.scandir(current) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        budget -= len(found)
        if budget < 0:
            return
        folders = []
        for entry in found:
            try:
                if entry.is_dir():
                    folders.append((Path(entry.path), left - 1))
                elif is_model_file(entry.name) and entry.is_file():
                    yield Path(entry.path)
            except OSError:
                continue
        if left > 0:
            waiting += reversed(folders)


def subfolders(folder: Path) -> list[Path]:
    """The folders right in a folder, in order; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if is_folder(entry))
    except OSError:
        return []


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one. What cannot be told, such as a link to itself, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def repository_models(store: str, repository: str, files: Iterable[Path]) -> list[StoredModel]:
    """The models of one repository, from its files: each by its quantization, and by its file's name."""
    found = [*files]
    quantizations = [quantization_of(os.fspath(file)) for file in found]
    default = _default(quantizations)
    models = []
    for index, (file, quantization) in enumerate(zip(found, quantizations, strict=True)):
        stem = stem_of(file.name)
        is_known = quantization is not None and quantizations.count(quantization) == 1
        tags: tuple[str, ...] = ()
        if quantization is not None and is_known and stem != repository:
            tags = tuple(dict.fromkeys((quantization, quantization.removeprefix("UD-"), stem, file.name)))
        elif len(found) > 1:
            tags = (stem, file.name)
        models.append(StoredModel(store=store, base=repository, tags=tags, path=file, is_default=index == default))
    return models


def _default(quantizations: Sequence[str | None]) -> int:
    for preferred in PREFERRED_TAGS:
        if preferred in quantizations:
            return quantizations.index(preferred)
    return 0
