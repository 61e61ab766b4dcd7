"""Shells at a terminal, in which `erllama` completes for real and otherwise prints its arguments."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

from cli.terminal import take_terminal
from programs import program

COMPLETIONS = Path(__file__).parents[2] / "completions"
SHELLS = ("bash", "zsh", "fish")

_COMMANDS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": [
        "--interactive",
        "--init-command",
        "set -g fish_greeting; set -g fish_autosuggestion_enabled 0; function fish_prompt; end",
    ],
}
# What the terminal shows of the typing itself holds no result of the addition.
_READY = {
    "bash": ". {completions}/erllama.bash; PS1=; echo ready $((3 + 4))",
    "zsh": "PS1=; unset zle_bracketed_paste; fpath=({completions} $fpath)\n"
    "autoload -Uz compinit; compinit -u -d dump; echo ready $((3 + 4))",
    "fish": "echo ready (math 3 + 4)",
}
_QUESTION, _ANSWER = b"\x1b[c", b"\x1b[?6c"


class Shell:
    """A shell without anybody's settings, which finds the completions where an installed erllama puts them."""

    def __init__(self, kind: str, folder: Path) -> None:
        stub = folder / "erllama"
        stub.write_text(
            f'#!/bin/sh\nif [ -n "$_ERLLAMA_COMPLETE" ]; then exec {sys.executable} -m erllama_cli; fi\n'
            """printf 'given '; for word in "$@"; do printf '<%s>' "$word"; done; echo ' done'\n"""
        )
        stub.chmod(0o755)
        vendor = folder / "share" / "fish" / "vendor_completions.d"
        vendor.mkdir(parents=True)
        shutil.copy(COMPLETIONS / "erllama.fish", vendor)
        # Or fish would read every manual of the system, in the background, at its first start.
        (Path(os.environ["XDG_DATA_HOME"]) / "fish" / "generated_completions").mkdir(parents=True)
        self._end, inner = pty.openpty()
        termios.tcsetwinsize(inner, (24, 200))
        self._process = subprocess.Popen(
            [program(kind), *_COMMANDS[kind]],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            cwd=folder,
            preexec_fn=take_terminal,
            env={
                **os.environ,
                "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
                "TERM": "dumb",
                "LC_ALL": "C.UTF-8",
                "INPUTRC": "/dev/null",
                "ZDOTDIR": str(folder),
                "XDG_DATA_DIRS": f"{folder / 'share'}:/usr/share",
            },
        )
        os.close(inner)
        self._type(_READY[kind].format(completions=COMPLETIONS) + "\n")
        self._until("ready 7\r\n")

    def arguments(self, typed: str) -> str:
        """What a command gets as arguments once the Tab key has been pressed behind what is `typed`."""
        self._type(f"{typed}\t\n")
        return self._until(" done\r\n").rpartition("given ")[2].partition(" done")[0]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def _type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def _until(self, text: str) -> str:
        seen, deadline = b"", time.monotonic() + 60
        while text.encode() not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([self._end], [], [], 0.5)[0]:
                read = os.read(self._end, 4096)
                if _QUESTION in read:  # a shell may ask what the terminal is, and wait for it
                    os.write(self._end, _ANSWER)
                seen += read
        return seen.decode(errors="replace")
