"""The command `erllama`: how it starts and ends. Asked only for its version, it answers before it imports anything."""

from __future__ import annotations

import sys

_GARBAGE_THRESHOLD = 200_000
"""So many objects are made before garbage is looked for: importing makes many, and none of them is any."""


def main() -> None:
    """Run the command in `sys.argv` and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:
        from erllama_daemon import __version__

        try:
            sys.stdout.write(f"erllama {__version__}\n")
            sys.stdout.flush()
        except (OSError, AttributeError) as error:
            from erllama_cli.leaving import leave_without_output

            leave_without_output(error)
        return
    _end_at_ctrl_c()
    import gc

    gc.set_threshold(_GARBAGE_THRESHOLD)
    from erllama_cli.command import run_command
    from erllama_cli.leaving import leave

    try:
        run_command()
    except SystemExit as end:
        if isinstance(end.code, int | None):
            leave(end.code or 0)
        raise
    leave(0)


def _end_at_ctrl_c() -> None:
    """Has Ctrl-C end the process without a word while all is imported: nothing is under way yet."""
    # `signal` itself takes a while to import, in which there would be a traceback.
    import _signal  # type: ignore[import-not-found]

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
