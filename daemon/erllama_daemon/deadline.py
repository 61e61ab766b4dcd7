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


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises DeadlineExceeded in this thread once `seconds` have passed, if the body still runs then.

    It comes between two instructions of Python: a call into native code ends first.
    """
    thread = ctypes.c_ulong(threading.get_ident())
    lock, is_over = threading.Lock(), False

    def interrupt() -> None:
        with lock:
            if not is_over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(DeadlineExceeded))

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        try:
            with lock:
                is_over = True
        finally:
            # What was raised before the lock was taken may be delivered only now: it is taken back.
            is_over = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, None)
            timer.cancel()
