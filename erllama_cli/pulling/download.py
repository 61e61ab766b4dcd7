"""One file on its way into Hugging Face's cache: what came is kept until the rest has come, and then checked.

huggingface_hub itself begins anew whenever a download breaks off; of a large model, that is too much to lose.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from filelock import FileLock

from erllama_cli.pulling.hub import Hub, RemoteFile, Repository, unwritable
from erllama_daemon.errors import DownloadDamaged, DownloadUnwritable

Progress = Callable[[int], None]
"""Hears of so many bytes that have come."""

_BRANCH = "main"


class CachedRepository:
    """A repository's folder in the cache."""

    def __init__(self, cache: Path, repository: Repository) -> None:
        self._folder = cache / f"models--{repository.name.replace('/', '--')}"
        self._locks = cache / ".locks" / self._folder.name
        self._repository = repository

    def fetch(self, hub: Hub, file: RemoteFile, progress: Progress) -> tuple[Path, int]:
        """Has a file there, whole and checked; where it is, and how many bytes were fetched for that.

        Whoever fetches the same file meanwhile is waited for. Raises as `Hub`, DownloadDamaged and DownloadUnwritable.
        """
        link = self._folder / "snapshots" / self._repository.commit / file.name
        try:
            for folder in (link.parent, self._blob(file).parent, self._locks):
                folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._locks / f"{self._blob(file).name}.lock"):
                fetched = 0 if link.exists() else self._complete(hub, file, progress)
                if not link.exists():
                    _link(self._blob(file), link)
        except OSError as error:
            raise unwritable(self._folder, error) from error
        return link, fetched

    def remember_branch(self) -> None:
        """Has the branch mean what was fetched. Raises DownloadUnwritable."""
        reference = self._folder / "refs" / _BRANCH
        try:
            reference.parent.mkdir(exist_ok=True)
            reference.write_text(self._repository.commit)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def _blob(self, file: RemoteFile) -> Path:
        return self._folder / "blobs" / (file.sha256 or file.blob or hashlib.sha256(file.name.encode()).hexdigest())

    def _complete(self, hub: Hub, file: RemoteFile, progress: Progress) -> int:
        blob = self._blob(file)
        if blob.exists():
            return 0
        partial = blob.with_name(f"{blob.name}.incomplete")
        with partial.open("ab") as target:
            if target.tell() > file.bytes:
                target.truncate(0)
            start = target.tell()
            self._check_room(file.bytes - start)
            progress(start)
            hub.fetch(self._repository, file, cast("BinaryIO", _Heard(target, progress)), start)
            target.flush()
            os.fsync(target.fileno())
        if not _is_whole(partial, file):
            partial.unlink()
            raise DownloadDamaged(file=file.name)
        partial.replace(blob)
        return file.bytes - start

    def _check_room(self, needed: int) -> None:
        if shutil.disk_usage(self._folder).free < needed:
            raise DownloadUnwritable(path=self._folder, reason=f"{needed:,} bytes more do not fit on the disk")


class _Heard:
    """A file that tells how much is written to it."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file = file
        self._progress = progress

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._progress(self._file.tell())
        return written

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def _is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether a file is what the hub says it is: by its SHA-256, or, of a small one, as Git does."""
    with path.open("rb") as read:
        if file.sha256 is not None:
            return hashlib.file_digest(read, "sha256").hexdigest() == file.sha256
        if file.blob is None:
            return path.stat().st_size == file.bytes
        content = read.read()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.blob


def _link(blob: Path, link: Path) -> None:
    try:
        link.symlink_to(os.path.relpath(blob, link.parent))
    except OSError:  # where there are no links, as on some network disks
        blob.replace(link)
