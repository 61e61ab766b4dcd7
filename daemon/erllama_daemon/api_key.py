"""The key that clients on TCP show: one a user, in a file that nobody else can read."""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import stat
from hashlib import sha256

from erllama_daemon.directories import Directories, create_private
from erllama_daemon.errors import ApiKeyUnusable

_RANDOM_BYTES = 32
_KEY = re.compile(r"[\x21-\x7e]{16,512}")
_OTHERS = 0o077
_Identity = tuple[int, int, int]


class ApiKey:
    """The key in a user's data folder. Its file is read again when it has changed."""

    def __init__(self, directories: Directories) -> None:
        self.path = directories.data / "api_key"
        self._identity: _Identity | None = None
        self._digest = b""

    def text(self) -> str:
        """The key, which is made if there is none. Raises ApiKeyUnusable."""
        if (found := self._read()) is not None:
            return found
        try:
            self._make(replace=False)
        except OSError as error:
            raise self._unusable(error) from error
        return self._read() or ""

    def rotate(self) -> str:
        """A new key, which takes the old one's place at once. Raises ApiKeyUnusable."""
        try:
            self._make(replace=True)
        except OSError as error:
            raise self._unusable(error) from error
        return self._read() or ""

    def agrees(self, shown: str) -> bool:
        """Whether that is the key, in a time that says nothing of it. Without a key, none agrees.

        Raises ApiKeyUnusable.
        """
        identity = self._look()
        if identity is None or identity != self._identity:
            key = self._read()
            self._digest = b"" if key is None else _digest(key)
            self._identity = identity
        return hmac.compare_digest(self._digest, _digest(shown))

    def _look(self) -> _Identity | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        return status.st_mtime_ns, status.st_ino, status.st_mode

    def _read(self) -> str | None:
        """The key in the file; None without one."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ApiKeyUnusable(path=self.path, reason="it is not a file")
            if status.st_mode & _OTHERS:
                raise ApiKeyUnusable(path=self.path, reason="others than its owner can read or change it")
            text = file.read(1024).decode("latin-1").strip()
        if not _KEY.fullmatch(text):
            raise ApiKeyUnusable(path=self.path, reason="it is not 16 to 512 characters without a space")
        return text

    def _make(self, *, replace: bool) -> None:
        """Writes a new key, whole or not at all; without `replace`, whoever was first has made it. Raises OSError."""
        create_private(self.path.parent)
        new = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"erllama-{secrets.token_urlsafe(_RANDOM_BYTES)}\n")
                file.flush()
                os.fsync(file.fileno())
            if replace:
                new.replace(self.path)
            else:
                with contextlib.suppress(FileExistsError):
                    self.path.hardlink_to(new)
        finally:
            new.unlink(missing_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _unusable(self, error: OSError) -> ApiKeyUnusable:
        return ApiKeyUnusable(path=self.path, reason=(error.strerror or str(error)).lower())


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
