"""The end of a command's process."""

from __future__ import annotations

import atexit
import os
import sys
import threading


def leave(code: int) -> None:
    """Ends the process with this exit code at once, if nobody can tell that from an ordinary end.

    An ordinary end takes the interpreter apart piece by piece, which lasts longer than many a command. Returns, so that
    the command ends that way, if something has registered to be done at the end, a thread has to be waited for, or
    output cannot be written, which is then told as usual.
    """
    if atexit._ncallbacks() or any(_is_awaited(thread) for thread in threading.enumerate()):
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


def _is_awaited(thread: threading.Thread) -> bool:
    return not thread.daemon and thread is not threading.main_thread()
