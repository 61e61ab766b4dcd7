from __future__ import annotations

import subprocess
import sys

import pytest
from cli.conftest import Run

COMMANDS = [
    [],
    ["run"],
    ["chat"],
    ["cache"],
    ["cache", "stats"],
    ["daemon"],
    ["daemon", "status"],
    ["daemon", "stop"],
    ["daemon", "run"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(run: Run, command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert " ".join(["  erllama", *command]) in done.stdout.partition("Examples:")[2]


def test_version(run: Run) -> None:
    assert run("--version").stdout.startswith("erllama ")


@pytest.mark.parametrize("arguments", ["['--help']", "['cache', 'stats']", "['daemon', 'status']"])
def test_no_heavy_module_is_imported(arguments: str) -> None:
    program = f"""
import sys
sys.argv = ['erllama', *{arguments}]
from erllama_cli.main import main
try:
    main()
except SystemExit:
    pass
print([name for name in ('llama_cpp', 'uvicorn', 'starlette', 'httpx', 'rich') if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
