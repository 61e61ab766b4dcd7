"""Cold against warm, in one run on this machine, as ratios: `make bench`.

Each prompt is sent to the real model through the daemon: cold, again from RAM, and from disk after the daemon was
killed. What counts is the time to the first token as the command reports it, and the whole command as a user waits
for it. One line a prompt length; the ratio is cold over warm.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LENGTHS = (300, 1000, 2000)
CHARACTERS_PER_TOKEN = 3.2
XDG = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")


def document(tokens: int) -> str:
    """A text of at least `tokens` tokens."""
    sentences = [f"On day {day} the llama crossed river number {day * 7 % 31} and hummed. " for day in range(2000)]
    text = ""
    while len(text) < tokens * CHARACTERS_PER_TOKEN:
        text += sentences.pop(0)
    return text


def erllama(*arguments: str) -> dict[str, object]:
    """What a command prints with `--json`, and its wall time in milliseconds as `command_ms`."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "erllama_cli", *arguments, "--json"], stdout=subprocess.PIPE, check=True
    )
    return {**json.loads(done.stdout), "command_ms": (time.perf_counter() - started) * 1000}


def run(text: str) -> dict[str, object]:
    """One short greedy answer."""
    return erllama("run", "demo", text, "-n", "1", "-t", "0")


def kill_daemon() -> None:
    """`kill -9`; the worker ends by itself."""
    pid = erllama("daemon", "status")["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory(prefix="erl-") as home:
        for name in XDG:
            folder = Path(home) / name[4:-5].lower()
            folder.mkdir(mode=0o700)
            os.environ[name] = str(folder)
        print("tokens  hit    ttft_ms   ratio  command_ms  ratio")
        run("Hello.")  # loads the model, so that no row includes it
        for length in LENGTHS:
            text = document(length)
            cold, ram = run(text), run(text)
            kill_daemon()
            run("Hello.")
            disk = run(text)
            for name, answer in (("cold", cold), ("ram", ram), ("disk", disk)):
                ttft, command = (float(str(answer[key])) for key in ("ttft_ms", "command_ms"))
                cold_ttft, cold_command = (float(str(cold[key])) for key in ("ttft_ms", "command_ms"))
                print(
                    f"{answer['prompt_tokens']:6}  {name:5} {ttft:9.1f} {cold_ttft / ttft:7.0f} {command:11.0f}"
                    f" {cold_command / command:6.1f}"
                )
        erllama("daemon", "stop")


if __name__ == "__main__":
    main()
