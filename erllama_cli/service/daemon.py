"""What a service has to know of the daemon that it runs: it does not see what a shell has set."""

from __future__ import annotations

import math
import os

from erllama_cache.policy import Policy, PolicyKnobs
from erllama_daemon.config import Config

ARGUMENTS = ("-P", "-m", "erllama_daemon")
"""Of the interpreter, the one that runs this command."""

GRACE_S = 30
"""How long the daemon may take to stop besides the last saves of its models."""

# Not XDG_RUNTIME_DIR: where the socket is, each service is told in its own way.
_FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")


def kept_environment() -> dict[str, str]:
    """The variables that say where erllama's folders are, as far as they are set."""
    return {name: os.environ[name] for name in _FOLDERS if os.environ.get(name)}


def stop_timeout_s(config: Config) -> int:
    """Within how many seconds a daemon of this configuration has ended, whatever it has to save."""
    knobs = [PolicyKnobs(), config.policy, *(model.policy.over(config.policy) for model in config.models.values())]
    longest_ms = max(Policy().with_knobs(turned).evict_save_timeout_ms for turned in knobs)
    return math.ceil(longest_ms / 1000) + GRACE_S
