"""A terminal that a test types at and reads from."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, *arguments: str, kind: str = "dumb") -> None:
        self._end, inner = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "erllama_cli", *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env={**os.environ, "TERM": kind, "INPUTRC": "/dev/null"},
            preexec_fn=_take_terminal,
        )
        os.close(inner)
        self.seen = ""

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def await_text(self, text: str, *, pressing: str = "") -> None:
        """Returns once `text` has come after what was awaited before, pressing a key until it does."""
        deadline = time.monotonic() + 20
        self.type(pressing)
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} is not in {self.seen!r}"
            chunk = self._read(0.5)
            self.seen += chunk
            if not chunk:
                self.type(pressing)
        self.seen = self.seen.partition(text)[2]

    def rest(self) -> tuple[int, str]:
        """The exit code and all that was still said."""
        while chunk := self._read(20):
            self.seen += chunk
        return self._process.wait(10), self.seen

    def kill(self, number: int) -> None:
        """Returns when the signal has ended the command."""
        self._process.send_signal(number)
        self._process.wait(10)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def _read(self, timeout_s: float) -> str:
        if not select.select([self._end], [], [], timeout_s)[0]:
            return ""
        with contextlib.suppress(OSError):
            return os.read(self._end, 4096).decode()
        return ""


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
