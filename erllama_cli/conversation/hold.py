"""The hold of an open chat on its conversation, so that a second window can tell that there is a first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from erllama_daemon.directories import Directories, create_private

if TYPE_CHECKING:
    from filelock import FileLock

_PAUSE_S = 0.2


class Hold:
    """Holds one conversation at a time, or none; a context manager. Without `directories`, nothing ever.

    It ends with the process, however that ends. Nobody is kept from asking: the daemon takes one turn after the other.
    The lock files stay behind, empty: whoever waits for one must not be left with a file that is gone.
    """

    def __init__(self, directories: Directories | None = None) -> None:
        self._folder = None if directories is None else directories.runtime / "chats"
        self._lock: FileLock | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def move(self, session_id: str) -> bool:
        """Hold this conversation instead; False, and all stays as it was, if another window holds it."""
        return self._take(session_id, is_awaited=False)

    def await_move(self, session_id: str) -> None:
        """As `move`, once no other window holds it."""
        self._take(session_id, is_awaited=True)

    def release(self) -> None:
        """Hold nothing any more. May be called again."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take(self, session_id: str, *, is_awaited: bool) -> bool:
        if self._folder is None:
            return True
        from filelock import FileLock, Timeout

        path = self._folder / f"{session_id}.lock"
        if self._lock is not None and self._lock.lock_file == str(path):
            return True
        lock = FileLock(path, mode=0o600, thread_local=False)
        try:
            create_private(self._folder)
            lock.acquire(timeout=-1 if is_awaited else 0, poll_interval=_PAUSE_S)
        except Timeout:
            return False
        except OSError:
            # Where no file can be locked, windows do not see each other; the daemon still lets no turn get lost.
            self.release()
            return True
        self.release()
        self._lock = lock
        return True
