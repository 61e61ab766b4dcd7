"""What an archive brings, taken in."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from erllama_cli.cache.quota import disk_quota
from erllama_cli.drawing.progress import Bar
from erllama_cli.files import STREAM
from erllama_cli.model import model_name
from erllama_cli.results.cache import ImportReport
from erllama_daemon.directories import Directories

if TYPE_CHECKING:
    from erllama_cache.disk.origins import Origin
    from erllama_cache.tending.archive import Manifest
    from erllama_daemon.sessions.transcript import Transcript


@contextmanager
def on_disk(file: str) -> Iterator[Path]:
    """An archive is read twice; what comes through a pipe is kept meanwhile."""
    if file != STREAM:
        yield Path(file)
        return
    with tempfile.NamedTemporaryFile(prefix="erllama-") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        yield Path(kept.name)


def take_in(path: Path, model: str | None, directories: Directories, bar: Bar) -> ImportReport:
    """What of an archive is on this machine now. Raises ArchiveUnreadable and what changing the cache raises."""
    from erllama_cache.disk.origins import Origins
    from erllama_cache.disk.tier import DiskTier
    from erllama_cache.errors import CacheUnwritable
    from erllama_cache.tending.archive import import_chains, read_manifest

    manifest = read_manifest(path)
    transcripts = _transcripts(manifest, path, model)
    differences = _differences(manifest, Origins(directories.cache).all())
    # First, for it matters more than its state, and does not depend on it.
    adopted = [new for each in transcripts if (new := _adopted(directories.sessions, each)) is not None]
    new_ids = {each.id for each in adopted}
    disk, blocks = DiskTier(directories.cache, disk_quota(directories)), 0
    if manifest.blocks:
        disk.open()
        try:
            blocks = import_chains(path, disk, bar.show)
        except OSError as error:
            raise CacheUnwritable(path=directories.cache, reason=error.strerror or error) from error
        finally:
            disk.close()
    return ImportReport(
        chats=[each.id for each in adopted],
        known_chats=[each.id for each in transcripts if each.id not in new_ids],
        unnamed_chats=[each.id for each in transcripts if each.id in new_ids and each.name and each not in adopted],
        missing_models=sorted({each.model for each in adopted if _is_missing(each.model)}),
        blocks=blocks,
        known_blocks=len(manifest.blocks) - blocks,
        differences=differences,
    )


def _adopted(sessions: Path, transcript: Transcript) -> Transcript | None:
    """The conversation as it was taken in: without its name if that is taken; None if it is here already."""
    from erllama_daemon.errors import SessionNameTaken
    from erllama_daemon.sessions.transcript import adopt_transcript

    try:
        return transcript if adopt_transcript(sessions, transcript) is not None else None
    except SessionNameTaken:
        unnamed = msgspec.structs.replace(transcript, name=None)
        return unnamed if adopt_transcript(sessions, unnamed) is not None else None


def _transcripts(manifest: Manifest, path: Path, model: str | None) -> list[Transcript]:
    from erllama_cache.errors import ArchiveUnreadable
    from erllama_daemon.sessions.transcript import Transcript

    try:
        found = msgspec.json.decode(manifest.chat, type=list[Transcript] | None) or []
    except msgspec.MsgspecError as error:
        raise ArchiveUnreadable(path=path, reason=error) from error
    if model is None:
        return found
    return [msgspec.structs.replace(transcript, model=model_name(model)) for transcript in found]


def _differences(manifest: Manifest, here: Mapping[bytes, Origin]) -> list[str]:
    """What this machine made otherwise from the same model; nothing if it is not known to have used it."""
    if any(bytes.fromhex(root) in here for root in manifest.origins):
        return []
    found: list[str] = []
    for theirs in manifest.origins.values():
        rivals = [
            _unlike(theirs, ours)
            for ours in here.values()
            if (ours.model_fingerprint, ours.adapters) == (theirs.model_fingerprint, theirs.adapters)
        ]
        if rivals:
            nearest: list[str] = min(rivals, key=len)
            found += nearest
    return [*dict.fromkeys(found)]


def _unlike(theirs: Origin, ours: Origin) -> list[str]:
    there, here = msgspec.structs.asdict(theirs.record), msgspec.structs.asdict(ours.record)
    return [f"{name}: {there[name]} there, {here[name]} here" for name in there if there[name] != here[name]]


def _is_missing(model: str) -> bool:
    return model.startswith(os.sep) and not Path(model).exists()


def sum_of(reports: Sequence[ImportReport]) -> ImportReport:
    """One report on several archives."""
    return ImportReport(
        chats=[chat for report in reports for chat in report.chats],
        known_chats=[chat for report in reports for chat in report.known_chats],
        unnamed_chats=[chat for report in reports for chat in report.unnamed_chats],
        missing_models=[model for report in reports for model in report.missing_models],
        blocks=sum(report.blocks for report in reports),
        known_blocks=sum(report.known_blocks for report in reports),
        differences=[difference for report in reports for difference in report.differences],
    )
