"""The hub, by huggingface_hub, which takes a second to import: only what fetches a model does."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from erllama_daemon.errors import (
    DownloadUnwritable,
    HubUnreachable,
    PullNotInstalled,
    RepositoryClosed,
    RepositoryUnknown,
    RequestInvalid,
)

# Read when it is imported: it is to draw nothing and to tell nobody who asks.
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

try:
    import huggingface_hub
    from huggingface_hub import constants, errors, utils
except ImportError as error:
    raise PullNotInstalled from error

TIMEOUT_S = 20.0
RETRY_PAUSE_S = 1.0
_TRIES = 4
_PARTIAL_CONTENT = 206
_TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2", "requests")
"""The libraries whose errors mean that nobody answers."""

_UNAUTHORIZED = (401, 403)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository, `name` with its folders. `sha256` is None for one that is too small to have one."""

    name: str
    bytes: int
    sha256: str | None
    blob: str | None


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as it is now."""

    name: str
    commit: str
    files: list[RemoteFile]


class Hub:
    """The hub that HF_ENDPOINT names. Everything raises HubUnreachable, RepositoryUnknown and RepositoryClosed."""

    def __init__(self) -> None:
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        self._endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
        self._api = huggingface_hub.HfApi(endpoint=self._endpoint)

    def repository(self, name: str) -> Repository:
        """What a repository has. Raises RequestInvalid for what can be no repository's name."""
        with self._named_failures(name):
            info = self._api.model_info(name, files_metadata=True, timeout=TIMEOUT_S)
        files = [
            RemoteFile(each.rfilename, each.size or 0, each.lfs.sha256 if each.lfs else None, each.blob_id)
            for each in info.siblings or []
        ]
        return Repository(name, info.sha or "main", files)

    def fetch(self, repository: Repository, file: RemoteFile, target: BinaryIO, start: int) -> None:
        """Has a file written to `target`, from the byte `start` on. What breaks off is asked for again, a few times.

        Raises OSError too, as writing does.
        """
        there, tries = start, _TRIES
        while there < file.bytes:
            try:
                with self._named_failures(repository.name):
                    self._stream(repository, file, target, there)
            except HubUnreachable:
                tries = _TRIES if target.tell() > there else tries - 1
                if not tries:
                    raise
                time.sleep(RETRY_PAUSE_S)
            there = target.tell()

    def _stream(self, repository: Repository, file: RemoteFile, target: BinaryIO, start: int) -> None:
        url = huggingface_hub.hf_hub_url(
            repository.name, file.name, revision=repository.commit, endpoint=self._endpoint
        )
        location = huggingface_hub.get_hf_file_metadata(url, timeout=TIMEOUT_S, endpoint=self._endpoint).location
        headers = {**utils.build_hf_headers(), "Accept-Encoding": "identity"}  # type: ignore[attr-defined]
        if start:
            headers["Range"] = f"bytes={start}-"
        if not location.startswith(f"{self._endpoint.rstrip('/')}/"):
            headers.pop("authorization", None)  # the storage behind the hub is none of its business
        with huggingface_hub.get_session().stream("GET", location, headers=headers, timeout=TIMEOUT_S) as response:
            utils.hf_raise_for_status(response)  # type: ignore[attr-defined]
            if start and response.status_code != _PARTIAL_CONTENT:
                target.truncate(0)
            for piece in response.iter_bytes():
                target.write(piece)

    @contextmanager
    def _named_failures(self, repository: str) -> Iterator[None]:
        try:
            yield
        except errors.HFValidationError as error:
            raise RequestInvalid(reason=f"{repository!r} is no repository: write ORG/NAME") from error
        except errors.GatedRepoError as error:
            raise self._closed(repository, "it is open to some only") from error
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
            raise RepositoryUnknown(repository=repository, hub=self._endpoint) from error
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            if status in _UNAUTHORIZED:
                raise self._closed(repository, f"it answers {status}") from error
            raise HubUnreachable(hub=self._endpoint, reason=f"it answers {status}") from error
        except errors.OfflineModeIsEnabled as error:
            raise HubUnreachable(hub=self._endpoint, reason="HF_HUB_OFFLINE is set") from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in _TRANSPORTS:
                reason = str(error) or type(error).__name__
                raise HubUnreachable(hub=self._endpoint, reason=reason.rstrip(".")) from error
            raise

    def _closed(self, repository: str, reason: str) -> RepositoryClosed:
        return RepositoryClosed(repository=repository, hub=self._endpoint, reason=reason)


def unwritable(path: Path, error: OSError) -> DownloadUnwritable:
    """What the user is told when a file cannot be written."""
    reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or error
    return DownloadUnwritable(path=path, reason=reason)
