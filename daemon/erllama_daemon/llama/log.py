"""llama.cpp's own log: kept from the terminal, its last error kept for the message that a user reads."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections import deque

import llama_cpp

_ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR
_WARN_LEVEL = 3  # GGML_LOG_LEVEL_WARN


class NativeLog:
    """Receives every line that llama.cpp logs. Warnings and errors go on to stderr, which is the daemon's log."""

    def __init__(self) -> None:
        self._errors: deque[str] = deque(maxlen=8)
        # ctypes callbacks die with their last reference, and llama.cpp would then call freed memory.
        self._callback = llama_cpp.llama_log_callback(self._receive)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def last_error(self) -> str:
        """The first error line since the last call: the ones after it only report that it was not survived."""
        first = self._errors[0] if self._errors else ""
        self._errors.clear()
        return first.split(": ", 1)[-1].removeprefix("error loading model: ")

    def _receive(self, level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
        line = text.decode("utf-8", "replace").strip()
        if not line or level not in (_WARN_LEVEL, _ERROR_LEVEL):
            return
        if level == _ERROR_LEVEL:
            self._errors.append(line)
        name = "ERROR" if level == _ERROR_LEVEL else "WARNING"
        with contextlib.suppress(OSError):  # nobody reads any more once the daemon is gone
            print(f"{name} llama.cpp: {line}", file=sys.stderr, flush=True)


@functools.cache
def native_log() -> NativeLog:
    """The one log of this process: llama.cpp has no other."""
    return NativeLog()
