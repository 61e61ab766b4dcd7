"""What the configuration has `run` and `chat` ask for where no option says otherwise."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from erllama_daemon.choices import MAX_TOKENS, MIN_P, REPEAT_PENALTY, TEMPERATURE, TOP_K, TOP_P

if TYPE_CHECKING:
    from erllama_daemon.config import RunConfig

_TABLE = b"run"
_ESCAPE = b"\\"
_VARIABLES = "ERLLAMA_RUN_"
_BUILT_IN = {
    "max_tokens": MAX_TOKENS,
    "temperature": TEMPERATURE,
    "top_k": TOP_K,
    "top_p": TOP_P,
    "min_p": MIN_P,
    "repeat_penalty": REPEAT_PENALTY,
}


def run_defaults() -> RunConfig | None:
    """The table `[run]`; None if nobody has set anything in it. Raises ConfigInvalid.

    Most have not: then it costs a look at the file, and the rest of the configuration may say what it will.
    """
    from erllama_daemon.directories import user_directories

    file = user_directories().config_file
    try:
        content = file.read_bytes()
    except OSError:
        content = b""
    variables = tuple((name, text) for name, text in os.environ.items() if name.startswith(_VARIABLES))
    is_set = _TABLE in content or _ESCAPE in content or variables
    return _read(content, str(file), variables) if is_set else None


def usual(name: str) -> Any:
    """What an option of the sampler, or `max_tokens`, is unless it is given. Raises ConfigInvalid."""
    defaults = run_defaults()
    return _BUILT_IN[name] if defaults is None else getattr(defaults, name)


def default_model() -> str | None:
    """The model of a conversation that is begun without one. Raises ConfigInvalid."""
    defaults = run_defaults()
    return None if defaults is None or defaults.model is None else os.path.expanduser(defaults.model)  # noqa: PTH111


def default_system() -> str | None:
    """What a model should know before all else. Raises ConfigInvalid."""
    defaults = run_defaults()
    return None if defaults is None else defaults.system


@functools.lru_cache(maxsize=1)
def _read(content: bytes, file: str, variables: tuple[tuple[str, str], ...]) -> RunConfig:
    from pathlib import Path

    from erllama_daemon.config.settings import settings_of

    return settings_of(Path(file), content, dict(variables)).config.run
