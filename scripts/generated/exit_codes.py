"""Which exit codes each command can end with, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from erllama_cli.failures import EXIT_PIPE_CLOSED
from erllama_daemon.errors import (
    EXIT_CONTEXT,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_MODEL,
    EXIT_NOT_CACHED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)

MEANINGS: Mapping[int, str] = {
    0: "Done.",
    EXIT_FAILED: "It failed.",
    EXIT_USAGE: "The command or its input is not valid.",
    EXIT_MODEL: "The model is missing or cannot be read.",
    EXIT_UNREACHABLE: "The daemon cannot be reached, or does not run.",
    EXIT_CONTEXT: "The prompt does not fit into the model's context.",
    EXIT_NOT_CACHED: "The cache did not hold what --require-cached demanded.",
    EXIT_INTERRUPTED: "Interrupted by Ctrl-C; an answer under way was cancelled.",
    EXIT_PIPE_CLOSED: "Whoever read the output left; an answer under way was cancelled.",
}

_EVERYWHERE = (0, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_PIPE_CLOSED)
_ASKING = (EXIT_UNREACHABLE,)
_ASKING_A_MODEL = (EXIT_MODEL, EXIT_UNREACHABLE)
_READING_A_PROMPT = (EXIT_MODEL, EXIT_UNREACHABLE, EXIT_CONTEXT)
_ANSWERING = (EXIT_MODEL, EXIT_UNREACHABLE, EXIT_CONTEXT, EXIT_NOT_CACHED)

_BESIDES: Mapping[str, tuple[int, ...]] = {
    "run": _ANSWERING,
    "chat": _ANSWERING,
    "tokenize": _ASKING_A_MODEL,
    "detokenize": _ASKING_A_MODEL,
    "render": _ASKING_A_MODEL,
    "embed": _READING_A_PROMPT,
    "load": _ASKING_A_MODEL,
    "unload": _ASKING,
    "ps": _ASKING,
    "top": _ASKING,
    "adapter load": _ASKING_A_MODEL,
    "adapter unload": _ASKING_A_MODEL,
    "adapter scale": _ASKING_A_MODEL,
    "adapter ls": _ASKING_A_MODEL,
    "cache stats": _ASKING,
    "cache ls": (),
    "cache tree": (),
    "cache explain": _READING_A_PROMPT,
    "cache warm": _READING_A_PROMPT,
    "cache evict": _ASKING,
    "cache clear": _ASKING,
    "cache gc": _ASKING,
    "cache verify": _ASKING_A_MODEL,
    "cache pin": _ASKING,
    "cache unpin": _ASKING,
    "cache export": (),
    "cache import": _ASKING,
    "config show": _ASKING,
    "config get": _ASKING,
    "config set": _ASKING,
    "config unset": _ASKING,
    "config edit": _ASKING,
    "config path": (),
    "daemon install": _ASKING,
    "daemon key": (),
    "daemon logs": _ASKING,
    "daemon reload": _ASKING,
    "daemon restart": _ASKING,
    "daemon start": _ASKING,
    "daemon status": _ASKING,
    "daemon stop": _ASKING,
    "daemon run": _ASKING,
    "daemon uninstall": _ASKING,
    "doctor": (),
    "models alias": (EXIT_MODEL,),
    "models info": _ASKING_A_MODEL,
    "models ls": _ASKING,
    "models pull": (EXIT_MODEL,),
    "sessions ls": _ASKING,
    "sessions show": _ASKING,
    "sessions rm": _ASKING,
    "sessions rename": _ASKING,
    "sessions fork": _ASKING,
    "sessions export": _ASKING,
    "sessions import": _ASKING,
}
"""What a command can end with besides what every command can."""


def exit_codes(command: str) -> list[int]:
    """What the command that is called by these words can end with."""
    if command not in _BESIDES:
        raise KeyError(f"scripts/generated/exit_codes.py does not say what `erllama {command}` can end with")
    return sorted({*_EVERYWHERE, *_BESIDES[command]})
