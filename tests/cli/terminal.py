"""A terminal that a test types at and reads from."""

from __future__ import annotations

import codecs
import contextlib
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from typing import IO

import pyte

PROMPT = ">>>"


class Terminal:
    """A command at a terminal of its own; its answers may go elsewhere, to `stdout`, and all else to `stderr`.

    It is erllama's unless another `program` is named.
    """

    def __init__(
        self,
        *arguments: str,
        kind: str = "dumb",
        columns: int = 80,
        lines: int = 24,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "erllama_cli"),
    ) -> None:
        self._end, inner = pty.openpty()
        termios.tcsetwinsize(inner, (lines, columns))
        modes = termios.tcgetattr(inner)
        self._process = subprocess.Popen(
            [*program, *arguments],
            stdin=inner,
            stdout=inner if stdout is None else stdout,
            stderr=inner if stderr is None else stderr,
            start_new_session=True,
            env=_environment_of_a_shell(kind),
            preexec_fn=take_terminal,
        )
        os.close(inner)
        self.modes_at_first = modes
        self._decoder = codecs.getincrementaldecoder("utf-8")()
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

    @property
    def modes(self) -> list[object]:
        """What the terminal makes of what is typed and written."""
        return termios.tcgetattr(self._end)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

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
            return self._decoder.decode(os.read(self._end, 4096))
        return ""


class Screen(Terminal):
    """A terminal that can do what xterm can, and knows what is on its screen."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24) -> None:
        super().__init__(*arguments, kind="xterm-256color", columns=columns, lines=lines)
        self._screen = _Answering(columns, lines, self.type)
        self._stream = pyte.Stream(self._screen)

    @property
    def lines(self) -> list[str]:
        """What is on the screen now, from the top, without the empty lines at its end."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def cursor(self) -> tuple[int, int]:
        """The column and the line where the cursor is, from 0."""
        return self._screen.cursor.x, self._screen.cursor.y

    def await_prompt(self) -> list[str]:
        """Returns the lines of the screen once the last one of them is an empty prompt."""
        return self.await_line(PROMPT)

    def await_line(self, text: str) -> list[str]:
        """Returns the lines of the screen once the last one of them is `text`."""
        return self.await_lines(lambda lines: lines[-1:] == [text], repr(text))

    def clear(self) -> None:
        """Returns once nothing but an empty prompt is on the screen."""
        self.await_prompt()
        self.type("\x0c")
        self.await_lines(lambda lines: lines == [PROMPT], "an empty screen")

    def send(self, text: str, *awaited: str) -> str:
        """Types a line on an empty screen; gives what is on it once all of `awaited` are and another line can be typed.

        Where a line ends, or the screen has several spaces, there is one; where a line is full, there is none.
        """
        self.clear()
        self.type(f"{text}\r")
        wanted = f"{awaited} before an empty prompt"
        return self._joined(self.await_lines(lambda lines: self._is_answered(lines, awaited), wanted))

    def await_lines(self, wanted: Callable[[list[str]], bool], name: str) -> list[str]:
        """Returns the lines of the screen once they are as wanted."""
        deadline = time.monotonic() + 20
        while not wanted(self.lines):
            screen = "\n".join(self.lines)
            assert time.monotonic() < deadline, f"{name} is not on the screen:\n{screen}"
            chunk = self._read(0.5)
            self.seen += chunk
            self._stream.feed(chunk)
        return self.lines

    def _is_answered(self, lines: list[str], awaited: tuple[str, ...]) -> bool:
        text = self._joined(lines)
        return len(lines) > 1 and lines[-1] == PROMPT and all(part in text for part in awaited)

    def _joined(self, lines: list[str]) -> str:
        text = "".join(line if len(line) == self._screen.columns else f"{line} " for line in lines)
        return " ".join(text.split())


class _Answering(pyte.Screen):
    """A screen that says where its cursor is when it is asked."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], None]) -> None:
        super().__init__(columns, lines)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data)


def take_terminal() -> None:
    """Makes standard input the terminal that controls the process."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _environment_of_a_shell(kind: str) -> dict[str, str]:
    """Shells know COLUMNS and LINES, and export neither: a program has to ask its terminal."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    return {**kept, "TERM": kind, "INPUTRC": "/dev/null"}
