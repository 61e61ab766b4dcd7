"""The end of a command's process."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from typing import NoReturn


def leave(code: int) -> None:
    """Ends the process with this exit code at once, if nobody can tell that from an ordinary end.

    An ordinary end takes the interpreter apart piece by piece, which lasts longer than many a command. Returns, so that
    the command ends that way, if something has registered to be done at the end or a thread has to be waited for.
    If the last of the output cannot be written, that is told, and its exit code is that of the process.
    """
    if atexit._ncallbacks() or any(_is_awaited(thread) for thread in threading.enumerate()):
        return
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except Exception as error:
        leave_without_output(error)
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            sys.stderr.flush()
    os._exit(code)


def leave_without_output(error: Exception) -> NoReturn:
    """Ends the process, whose output cannot be written: that is told, unless the reader left."""
    from erllama_cli.failures import told
    from erllama_daemon.errors import OutputFailed

    if not isinstance(error, BrokenPipeError | OutputFailed):
        error = OutputFailed(reason=getattr(error, "strerror", None) or "standard output is closed")
    os._exit(told(error))


def _is_awaited(thread: threading.Thread) -> bool:
    return not thread.daemon and thread is not threading.main_thread()
