"""The command `erllama`: how it starts and ends. Asked only for its version, it answers before it imports anything."""

from __future__ import annotations

import sys

COMPLETED_LINE = "_ERLLAMA_COMPLETE_LINE"
"""Where a shell puts the command line that it wants completed."""


def main() -> None:
    """Run the command in `sys.argv` and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:
        from erllama_daemon import __version__

        print(f"erllama {__version__}")
        return
    from erllama_cli.command import run_command

    run_command()
