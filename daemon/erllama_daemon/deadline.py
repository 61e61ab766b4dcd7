"""A limit on how long a piece of Python may run, on whatever thread it runs."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class DeadlineExceeded(BaseException):
    """Raised by a deadline into the thread that missed it.

    No Exception, so that what runs under it cannot take it for one of its own.
    """


_AGAIN_S = 0.5
"""How soon it is raised again: one that comes while garbage is collected goes nowhere."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises DeadlineExceeded in this thread once `seconds` have passed, if the body still runs then.

    It comes between two instructions of Python: a call into native code ends first.
    """
    thread = ctypes.c_ulong(threading.get_ident())
    lock, is_over, ended = threading.Lock(), False, threading.Event()

    def interrupt() -> None:
        wait_s = seconds
        while not ended.wait(wait_s):
            wait_s = _AGAIN_S
            with lock:
                if not is_over:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(DeadlineExceeded))

    watch = threading.Thread(target=interrupt, daemon=True)
    try:
        watch.start()
        yield
    finally:
        try:
            with lock:
                is_over = True
        finally:
            # What was raised before the lock was taken may be delivered only now: it is taken back.
            is_over = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, None)
            ended.set()
