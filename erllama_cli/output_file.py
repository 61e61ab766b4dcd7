"""A file that takes what would go to standard output."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

from erllama_cache.disk.atomic import sync_data
from erllama_cli.files import STREAM
from erllama_daemon.errors import OutputFailed

_WHERE = "Name a file in a folder that is there and in which you may write."


@contextmanager
def output_to(file: str | None) -> Iterator[None]:
    """What is printed inside goes to `file`, whose name stands for what it stood for until all of it is there.

    None and `-` are standard output. What is no ordinary file, such as a pipe or a device, gets everything at once.
    Raises OutputFailed, before anything inside is done if that can be known then.
    """
    if file is None or file == STREAM:
        yield
        return
    try:
        # A link stays one. What a link such as /dev/stdout leads to may have no path.
        with _beside(Path(os.path.realpath(file))) if _may_be_replaced(Path(file)) else _into(Path(file)):
            yield
    except OutputFailed as error:
        told = OutputFailed(reason=f"{file}: {str(error.details['reason']).lower()}")
        raise told.with_hint(error.hint or "") from error


def _may_be_replaced(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


@contextmanager
def _into(path: Path) -> Iterator[None]:
    with _told_failures(_WHERE):
        taking = path.open("w", encoding="utf-8", errors="replace", newline="")
    with redirect_stdout(taking):
        try:
            yield
        finally:
            with _told_failures():
                taking.close()


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Prints to a new file in the same folder, which takes the name of `path` at the end, and its permissions."""
    temporary = path.parent / f".erllama.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    with _told_failures(_WHERE):
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(0, "it may not be written over")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    taking = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="")
    try:
        with redirect_stdout(taking):
            yield
        with _told_failures():
            taking.flush()
            if path.exists():
                os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
            sync_data(descriptor)
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        with suppress(OSError):  # what could not be written has been told
            taking.close()


@contextmanager
def _told_failures(hint: str | None = None) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        failed = OutputFailed(reason=reason.lower())
        raise (failed if hint is None else failed.with_hint(hint)) from error
