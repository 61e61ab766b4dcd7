from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = shutil.which("bash") or "bash"
SCRIPT = Path(__file__).parents[2] / "completions" / "erllama.bash"


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["erllama", "c"], {"cache", "chat"}),
        (["erllama", "daemon", "st"], {"status", "stop"}),
        (["erllama", "adapter", ""], {"load", "unload", "scale", "ls"}),
        (["erllama", "chat", "--cont"], {"--continue"}),
        (["erllama", "run", "--flash-attention", ""], {"auto", "on", "off"}),
    ],
)
def test_bash_completes(tmp_path: Path, words: list[str], completed: set[str]) -> None:
    command = tmp_path / "erllama"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m erllama_cli "$@"\n')
    command.chmod(0o755)
    program = f". {SCRIPT}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _erllama_completion erllama; "
    done = subprocess.run(
        [BASH, "-c", program + 'echo "${COMPREPLY[@]}"'],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    )
    assert set(done.stdout.split()) == completed
