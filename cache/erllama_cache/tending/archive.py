"""Chains in a file, to take them to another cache: a tar of a manifest and the block files, root first."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from erllama_cache.block import Block, decode
from erllama_cache.disk.files import BlockFiles
from erllama_cache.disk.origins import Origin, Origins
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import ArchiveUnreadable, ArchiveUnwritable, BlockCorrupt, KeyUnknown
from erllama_cache.tending.survey import Survey

FORMAT = 1
MANIFEST = "chain.json"
NOTHING = msgspec.Raw(b"null")
_KEY = re.compile(r"[0-9a-f]{64}")

OnProgress = Callable[[int, int], None]
"""Called with the blocks done so far, and with all that there are."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an archive. Keys are hexadecimal, `blocks` in the order of the files.

    `chat` is whatever the exporter wants to get back, such as the conversation whose chain it is.
    """

    format: int = FORMAT
    keys: list[str]
    blocks: list[str]
    origins: dict[str, Origin] = {}
    chat: msgspec.Raw = NOTHING


def export_chains(
    directory: Path,
    survey: Survey,
    keys: Sequence[bytes],
    target: Path,
    *,
    chat: msgspec.Raw = NOTHING,
    on_progress: OnProgress | None = None,
) -> Manifest:
    """Write the chains that end in `keys` to `target` (0600), which is there only once it is complete.

    Raises as `write_chains`.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            partial.chmod(0o600)
            manifest = write_chains(directory, survey, keys, file, chat=chat, on_progress=on_progress)
        partial.replace(target)
    except OSError as error:
        raise ArchiveUnwritable(path=target, reason=error.strerror or error) from error
    finally:
        partial.unlink(missing_ok=True)
    return manifest


def write_chains(
    directory: Path,
    survey: Survey,
    keys: Sequence[bytes],
    file: IO[bytes],
    *,
    chat: msgspec.Raw = NOTHING,
    on_progress: OnProgress | None = None,
) -> Manifest:
    """Write an archive of the chains that end in `keys` to an open file, which may be a pipe.

    Every block is checked as at a load. Raises BlockCorrupt, KeyUnknown for a block that is not there or went
    meanwhile, ParentGone for a chain without its beginning, with which nobody could go on, and OSError.
    """
    rows = {row.key: row for key in keys for row in survey.whole_chain(key)}
    roots = {row.root for row in rows.values()}
    manifest = Manifest(
        keys=[key.hex() for key in keys],
        blocks=[key.hex() for key in rows],
        origins={root.hex(): origin for root, origin in survey.origins.items() if root in roots},
        chat=chat,
    )
    with tarfile.open(fileobj=file, mode="w|") as archive:
        _add(archive, MANIFEST, msgspec.json.encode(manifest))
        for done, key in enumerate(rows, start=1):
            path = BlockFiles(directory).path(key)
            _add(archive, path.name, _checked(path, key))
            if on_progress is not None:
                on_progress(done, len(rows))
    return manifest


def read_manifest(source: Path) -> Manifest:
    """What is in the archive `source`. Raises ArchiveUnreadable."""
    try:
        with tarfile.open(source, mode="r:") as archive:
            first = archive.next()
            member = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
            if member is None:
                raise ArchiveUnreadable(path=source, reason="it does not begin with a manifest")
            manifest = msgspec.json.decode(member.read(), type=Manifest)
    except (OSError, tarfile.TarError, msgspec.MsgspecError) as error:
        raise _unreadable(source, error) from error
    if not all(map(_KEY.fullmatch, (*manifest.keys, *manifest.blocks, *manifest.origins))):
        raise ArchiveUnreadable(path=source, reason="its manifest names what is no key")
    if manifest.format != FORMAT:
        raise ArchiveUnreadable(path=source, reason=f"its format, {manifest.format}, is not known")
    return manifest


def import_chains(source: Path, disk: DiskTier, on_progress: OnProgress | None = None) -> int:
    """Publish the blocks of the archive `source` that are not here yet, and say how many those were.

    `disk` is open. Every block is checked before it is published. Raises ArchiveUnreadable, and what
    `DiskTier.publish` raises; what was published before stays.
    """
    manifest, written, done = read_manifest(source), 0, 0
    for done, block in enumerate(_blocks(source), start=1):
        written += bool(disk.publish(block))
        if on_progress is not None:
            on_progress(done, len(manifest.blocks))
    if done < len(manifest.blocks):  # tar sees no difference between an end and a cut
        raise ArchiveUnreadable(path=source, reason=f"it ends after {done} of {len(manifest.blocks)} blocks")
    origins = Origins(disk.files.directory)
    for root, origin in manifest.origins.items():
        origins.note(bytes.fromhex(root), origin)
    return written


def _blocks(source: Path) -> Iterator[Block]:
    try:
        with tarfile.open(source, mode="r:") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name != MANIFEST else None
                if file is not None:
                    yield decode(file.read(), Path(member.name))
    except (OSError, tarfile.TarError, BlockCorrupt) as error:
        raise _unreadable(source, error) from error


def _unreadable(source: Path, error: Exception) -> ArchiveUnreadable:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return ArchiveUnreadable(path=source, reason=reason)


def _checked(path: Path, key: bytes) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise KeyUnknown(key=key.hex()) from error
    decode(data, path)
    return data


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o600
    archive.addfile(member, io.BytesIO(data))
